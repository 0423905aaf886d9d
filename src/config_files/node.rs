//! Converts a TOML tree into a type. Unlike the deserializer of the crate `toml`, its errors are
//! facts and not only texts.

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::document::{SpecTable, Value};
use super::fault::Fault;
use super::quoted::quoted;
use super::values::Day;

/// A table, read as a type.
pub(super) struct Root<'t, 'i>(pub(super) &'t SpecTable<'i>);

impl<'de> Deserializer<'de> for Root<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        entries(self.0, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// A value, read as any type.
struct AnyValue<'t, 'i>(&'t Value<'i>);

impl AnyValue<'_, '_> {
    /// Reads the value as the type that it has.
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => integer(number, visitor),
            DeValue::Float(number) => {
                let number = number.as_str().parse();
                visitor.visit_f64(number.map_err(Fault::custom)?)
            }
            DeValue::Boolean(truth) => visitor.visit_bool(*truth),
            DeValue::Datetime(_) => Err(Fault::invalid_type(Unexpected::Other("date"), &visitor)),
            DeValue::Array(items) => visitor.visit_seq(Items(items.iter())),
            DeValue::Table(table) => entries(table, visitor),
        }
    }

    /// Reads the value. If it has another type, the error names `expected`.
    fn visit_as<'de, V: Visitor<'de>>(self, expected: &str, visitor: V) -> Result<V::Value, Fault> {
        let span = self.0.span();
        self.visit(visitor)
            .map_err(|fault| fault.expecting(expected).at(span))
    }
}

impl<'de> Deserializer<'de> for AnyValue<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let span = self.0.span();
        self.visit(visitor).map_err(|fault| fault.at(span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0.get_ref() {
            DeValue::Datetime(date) if name == Day::TYPE => visitor
                .visit_str(&date.to_string())
                .map_err(|fault: Fault| fault.at(self.0.span())),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as("a number from 0 to 65535", visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as("a number from 0 to 4294967295", visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as("a list", visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as("a table", visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.visit_as("a table", visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let span = self.0.span();
        let read = match self.0.get_ref() {
            DeValue::String(word) => visitor.visit_enum(StrDeserializer::new(word)),
            _ => self.visit(visitor),
        };
        let words = || words.iter().map(|word| quoted(word)).collect::<Vec<_>>();
        read.map_err(|fault: Fault| {
            let expected = format!("one of {}", words().join(", "));
            fault.expecting(&expected).at(span)
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn integer<'de, V: Visitor<'de>>(number: &DeInteger<'_>, visitor: V) -> Result<V::Value, Fault> {
    let (text, radix) = (number.as_str(), number.radix());
    if let Ok(number) = i64::from_str_radix(text, radix) {
        return visitor.visit_i64(number);
    }
    match u64::from_str_radix(text, radix) {
        Ok(number) => visitor.visit_u64(number),
        Err(error) => Err(Fault::custom(format!(
            "the number {text} is invalid: {error}"
        ))),
    }
}

fn entries<'de, V: Visitor<'de>>(table: &SpecTable<'_>, visitor: V) -> Result<V::Value, Fault> {
    visitor.visit_map(UnreadEntries {
        left: table.iter(),
        value: None,
    })
}

/// The entries of a table that are not read yet.
struct UnreadEntries<'t, 'i, I> {
    left: I,
    /// The value of the last key.
    value: Option<&'t Value<'i>>,
}

impl<'de, 't, 'i: 't, I> MapAccess<'de> for UnreadEntries<'t, 'i, I>
where
    I: Iterator<Item = (&'t Spanned<Cow<'i, str>>, &'t Value<'i>)>,
{
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let name = StrDeserializer::new(key.get_ref());
        let read = seed.deserialize(name);
        read.map(Some).map_err(|fault: Fault| fault.at(key.span()))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let value = self
            .value
            .take()
            .ok_or_else(|| Fault::custom("no key was read"))?;
        read(value, seed)
    }
}

/// The items of a list that are not read yet.
struct Items<I>(I);

impl<'de, 't, 'i: 't, I: Iterator<Item = &'t Value<'i>>> SeqAccess<'de> for Items<I> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.0.next().map(|value| read(value, seed)).transpose()
    }
}

/// Reads a value. An error about the whole value has its place.
fn read<'de, S: DeserializeSeed<'de>>(value: &Value<'_>, seed: S) -> Result<S::Value, Fault> {
    let read = seed.deserialize(AnyValue(value));
    read.map_err(|fault| fault.at(value.span()))
}
