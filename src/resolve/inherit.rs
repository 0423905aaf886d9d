//! Merges `[defaults]` with an image. Tables are merged key by key, and the image has precedence.
//! Arrays are replaced, except for five arrays that are appended to the defaults.

use toml::Spanned;
use toml::de::{DeArray, DeValue};

use crate::config_files::document::{SpecTable, Value};

/// The arrays of the image that are appended to those of the defaults.
const APPENDED: [&[&str]; 5] = [
    &["files"],
    &["run"],
    &["test"],
    &["certs", "trust"],
    &["packages", "install"],
];

/// Tables whose entries are plain values, which are not merged any deeper.
const FLAT: [&str; 2] = ["labels", "env"];

/// Returns `defaults` with the keys of `image` merged over them.
#[must_use]
pub(super) fn merged<'t>(defaults: &SpecTable<'t>, image: &SpecTable<'t>) -> SpecTable<'t> {
    let mut result = defaults.clone();
    overlay(&mut result, image, &mut Vec::new());
    result
}

fn overlay<'t>(under: &mut SpecTable<'t>, over: &SpecTable<'t>, path: &mut Vec<String>) {
    for (key, value) in over {
        path.push(key.get_ref().clone().into_owned());
        match under.get_mut(&**key.get_ref()) {
            Some(below) => *below = joined(std::mem::replace(below, placeholder()), value, path),
            None => {
                under.insert(key.clone(), value.clone());
            }
        }
        path.pop();
    }
}

fn placeholder() -> Value<'static> {
    Spanned::new(0..0, DeValue::Boolean(false))
}

fn joined<'t>(below: Value<'t>, value: &Value<'t>, path: &mut Vec<String>) -> Value<'t> {
    let flat = path.len() > 1 && FLAT.contains(&path[0].as_str());
    let appended = APPENDED
        .iter()
        .any(|appended| path.iter().map(String::as_str).eq(appended.iter().copied()));
    match (below.into_inner(), value.get_ref()) {
        (DeValue::Table(mut table), DeValue::Table(over)) if !flat => {
            overlay(&mut table, over, path);
            Spanned::new(value.span(), DeValue::Table(table))
        }
        (DeValue::Array(items), DeValue::Array(more)) if appended => {
            let all: DeArray<'t> = items.into_iter().chain(more.iter().cloned()).collect();
            Spanned::new(value.span(), DeValue::Array(all))
        }
        _ => value.clone(),
    }
}
