//! Reads the part of HCL that bake files use
//! (<https://docs.docker.com/build/bake/reference/>).

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::expression::Expression;

/// The deepest nesting of blocks and expressions.
const MAX_DEPTH: usize = 64;
/// The maximum number of operators between the operands of one expression.
const MAX_OPERATORS: usize = 64;

/// A block, such as `target "app" { … }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HclBlock {
    /// The type, such as `target`.
    pub(super) kind: String,
    /// The labels after the type.
    pub(super) labels: Vec<String>,
    pub(super) body: HclBody,
}

/// The content of a block or of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HclBody {
    pub(super) attributes: Vec<(String, Expression)>,
    pub(super) blocks: Vec<HclBlock>,
}

/// Parses a file. Fails with the number of the line and the problem.
pub(super) fn parse(text: &str) -> Result<HclBody, (usize, String)> {
    let mut parser = Parser {
        chars: text.chars().peekable(),
        line: 1,
        depth: 0,
    };
    let body = parser.body(None);
    body.map_err(|problem| (parser.line, problem))
}

/// Parses a text with `${…}`, as in a JSON file.
pub(super) fn template(text: &str) -> Result<Expression, String> {
    template_below(text, 0)
}

/// Parses a text with `${…}` that is nested in expressions of this depth.
fn template_below(text: &str, depth: usize) -> Result<Expression, String> {
    let mut parser = Parser {
        chars: text.chars().peekable(),
        line: 1,
        depth,
    };
    parser.deeper(|parser| parser.template(None))
}

struct Parser<'t> {
    chars: Peekable<Chars<'t>>,
    line: usize,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    /// True if the text goes on with these characters.
    fn is_at(&self, text: &str) -> bool {
        let mut ahead = self.chars.clone();
        text.chars().all(|c| ahead.next() == Some(c))
    }

    /// Skips a text if it is next.
    fn skip(&mut self, text: &str) -> bool {
        let found = self.is_at(text);
        if found {
            for _ in text.chars() {
                self.next();
            }
        }
        found
    }

    /// Skips blanks and comments, and line breaks too if `lines`.
    fn blanks(&mut self, lines: bool) {
        loop {
            if self.is_at("/*") {
                while !self.skip("*/") && self.next().is_some() {}
            } else if self.is_at("#") || self.is_at("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else if self
                .peek()
                .is_some_and(|c| c.is_whitespace() && (lines || c != '\n'))
            {
                self.next();
            } else {
                return;
            }
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        self.blanks(true);
        if self.skip(text) {
            Ok(())
        } else {
            Err(match self.peek() {
                Some(c) => format!("expected `{text}`, not `{c}`"),
                None => format!("expected `{text}`, but the file ends"),
            })
        }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth == MAX_DEPTH {
            return Err("the nesting is too deep".to_owned());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        while let Some(c) = self
            .peek()
            .filter(|c| c.is_alphanumeric() || "_-".contains(*c))
        {
            name.push(c);
            self.next();
        }
        if name.is_empty() {
            return Err("expected a name".to_owned());
        }
        Ok(name)
    }

    fn body(&mut self, end: Option<&str>) -> Result<HclBody, String> {
        let mut body = HclBody::default();
        loop {
            self.blanks(true);
            match end {
                Some(end) if self.skip(end) => return Ok(body),
                None if self.peek().is_none() => return Ok(body),
                _ => {}
            }
            let name = if self.peek() == Some('"') {
                self.string()?
            } else {
                self.name()?
            };
            self.blanks(false);
            if self.is_at("=") && !self.is_at("==") {
                self.next();
                body.attributes.push((name, self.deeper(Self::expression)?));
                continue;
            }
            let mut block = HclBlock {
                kind: name,
                ..HclBlock::default()
            };
            while self.peek() == Some('"') {
                block.labels.push(self.string()?);
                self.blanks(false);
            }
            self.expect("{")?;
            block.body = self.deeper(|parser| parser.body(Some("}")))?;
            body.blocks.push(block);
        }
    }

    /// A string without variables.
    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        match self.template(Some('"'))? {
            Expression::Literal(Value::String(text)) => Ok(text),
            _ => Err("expected a string without variables".to_owned()),
        }
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.deeper(|parser| {
            let condition = parser.binary(0)?;
            parser.blanks(false);
            if !parser.skip("?") {
                return Ok(condition);
            }
            let one = parser.expression()?;
            parser.expect(":")?;
            let other = parser.expression()?;
            Ok(Expression::Condition(Box::new([condition, one, other])))
        })
    }

    /// An expression of operators with at least this precedence.
    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        const LEVELS: [&[&str]; 3] = [&["||"], &["&&"], &["==", "!="]];
        let Some(operators) = LEVELS.get(level) else {
            return self.operand();
        };
        let first = self.binary(level + 1)?;
        let mut rest = Vec::new();
        loop {
            self.blanks(false);
            let Some(operator) = operators.iter().find(|operator| self.is_at(operator)) else {
                break;
            };
            if rest.len() == MAX_OPERATORS {
                return Err("the expression has too many operators".to_owned());
            }
            self.skip(operator);
            rest.push((*operator, self.binary(level + 1)?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expression::Operators(Box::new(first), rest)
        })
    }

    fn operand(&mut self) -> Result<Expression, String> {
        self.blanks(true);
        if self.is_at("<<") {
            return self.here_document();
        }
        match self.peek() {
            Some('"') => {
                self.next();
                self.template(Some('"'))
            }
            Some('[') => self.list(),
            Some('{') => self.object(),
            Some('(') => {
                self.next();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('!') => {
                self.next();
                let inner = self.deeper(Self::operand)?;
                Ok(Expression::Not(Box::new(inner)))
            }
            Some(c) if c.is_ascii_digit() || c == '-' => self.number(),
            _ => self.reference(),
        }
    }

    fn number(&mut self) -> Result<Expression, String> {
        let mut text = String::new();
        while let Some(c) = self
            .peek()
            .filter(|c| c.is_ascii_digit() || "-.eE+".contains(*c))
        {
            text.push(c);
            self.next();
        }
        let number: serde_json::Number = text
            .parse()
            .map_err(|_| format!("`{text}` is not a number"))?;
        Ok(Expression::Literal(Value::Number(number)))
    }

    fn reference(&mut self) -> Result<Expression, String> {
        let mut name = self.name()?;
        while self.peek() == Some('.') {
            self.next();
            name.push('.');
            name.push_str(&self.name()?);
        }
        match name.as_str() {
            "true" => return Ok(Expression::Literal(Value::Bool(true))),
            "false" => return Ok(Expression::Literal(Value::Bool(false))),
            "null" => return Ok(Expression::Literal(Value::Null)),
            _ => {}
        }
        if !self.skip("(") {
            return Ok(Expression::Variable(name));
        }
        Ok(Expression::Call(name, self.items(")")?))
    }

    fn list(&mut self) -> Result<Expression, String> {
        self.expect("[")?;
        self.blanks(true);
        Ok(Expression::List(self.items("]")?))
    }

    /// Expressions between commas, up to `end`.
    fn items(&mut self, end: &str) -> Result<Vec<Expression>, String> {
        let mut items = Vec::new();
        loop {
            self.blanks(true);
            if self.skip(end) {
                return Ok(items);
            }
            items.push(self.expression()?);
            self.blanks(true);
            if !self.skip(",") {
                self.expect(end)?;
                return Ok(items);
            }
        }
    }

    fn object(&mut self) -> Result<Expression, String> {
        self.expect("{")?;
        let mut pairs = Vec::new();
        loop {
            self.blanks(true);
            if self.skip("}") {
                return Ok(Expression::Object(pairs));
            }
            let key = match self.peek() {
                Some('"' | '(') => self.operand()?,
                _ => Expression::Literal(Value::String(self.name()?)),
            };
            self.blanks(true);
            if !self.skip("=") {
                self.expect(":")?;
            }
            pairs.push((key, self.expression()?));
            self.blanks(true);
            self.skip(",");
        }
    }

    /// The rest of a string up to `end`, which is consumed.
    fn template(&mut self, end: Option<char>) -> Result<Expression, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            if self.skip("$${") {
                text.push_str("${");
            } else if self.skip("${") {
                let literal = std::mem::take(&mut text);
                parts.push(Expression::Literal(Value::String(literal)));
                parts.push(self.expression()?);
                self.expect("}")?;
            } else {
                match self.next() {
                    c if c == end => break,
                    None => return Err("the string has no end".to_owned()),
                    Some('\\') if end.is_some() => self.escape(&mut text)?,
                    Some('\n') if end == Some('"') => {
                        return Err("the string has no end".to_owned());
                    }
                    Some(c) => text.push(c),
                }
            }
        }
        if parts.is_empty() {
            return Ok(Expression::Literal(Value::String(text)));
        }
        parts.push(Expression::Literal(Value::String(text)));
        Ok(Expression::Template(parts))
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let (digits, plain) = match self.next() {
            Some('n') => (0, '\n'),
            Some('t') => (0, '\t'),
            Some('r') => (0, '\r'),
            Some(c @ ('"' | '\\')) => (0, c),
            Some('u') => (4, '\0'),
            Some('U') => (8, '\0'),
            _ => return Err("the string has an unknown escape".to_owned()),
        };
        if digits == 0 {
            text.push(plain);
            return Ok(());
        }
        let code: String = (0..digits).filter_map(|_| self.next()).collect();
        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
        text.push(code.ok_or("the string has an unknown character")?);
        Ok(())
    }

    fn here_document(&mut self) -> Result<Expression, String> {
        self.skip("<<");
        let is_indented = self.skip("-");
        let name = self.name()?;
        let mut lines: Vec<String> = Vec::new();
        self.blanks(false);
        self.next();
        loop {
            let mut line = String::new();
            while let Some(c) = self.peek().filter(|c| *c != '\n') {
                line.push(c);
                self.next();
            }
            if line.trim() == name {
                break;
            }
            if self.next().is_none() {
                return Err(format!("the here-document {name} has no end"));
            }
            lines.push(line);
        }
        let indent = |line: &String| line.len() - line.trim_start_matches(' ').len();
        let filled = lines.iter().filter(|line| !line.trim().is_empty());
        let common = if is_indented {
            filled.map(indent).min().unwrap_or(0)
        } else {
            0
        };
        let lines = lines
            .iter()
            .map(|line| line.get(common..).unwrap_or_default());
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        template_below(&text, self.depth)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn value(expression: &str) -> Result<Value, String> {
        let body = parse(&format!("x = {expression}\n")).map_err(|(_, problem)| problem)?;
        let variables = [("V".to_owned(), Value::String("1.2".to_owned()))];
        body.attributes[0].1.value(&BTreeMap::from(variables))
    }

    #[test]
    fn expressions_have_their_values() {
        for (text, expected) in [
            ("\"a\"", "\"a\""),
            ("\"a-${V}-b\"", "\"a-1.2-b\""),
            ("\"$${V} \\\"\\n\"", "\"${V} \\\"\\n\""),
            ("[\"a\", V,]", "[\"a\",\"1.2\"]"),
            ("{ a = 1, \"b c\": true }", "{\"a\":1,\"b c\":true}"),
            ("{\n a = 1\n b = null\n}", "{\"a\":1,\"b\":null}"),
            ("V == \"1.2\" ? \"y\" : \"n\"", "\"y\""),
            ("notequal(\"\", V) ? [V] : []", "[\"1.2\"]"),
            ("!(V != \"x\" && false || false)", "true"),
            ("replace(upper(\"a.b\"), \".\", \"-\")", "\"A-B\""),
            ("concat([\"a\"], [V])", "[\"a\",\"1.2\"]"),
            ("<<-EOT\n  a ${V}\n    b\n  EOT", "\"a 1.2\\n  b\\n\""),
            ("-1.5", "-1.5"),
        ] {
            assert_eq!(value(text).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(value("W"), Err("the variable W is not defined".to_owned()));
        assert_eq!(
            value("f(1)"),
            Err("golden does not evaluate the function f".to_owned())
        );
    }

    #[test]
    fn blocks_have_labels_and_attributes() {
        let body = parse("# c\nvariable \"A\" { default = \"x\" }\n/* c */ target \"t\" {\n  args = { B = A } // c\n  secret \"s\" {}\n}\n").unwrap();
        let kinds: Vec<(&str, &[String])> = body
            .blocks
            .iter()
            .map(|block| (block.kind.as_str(), block.labels.as_slice()))
            .collect();
        assert_eq!(
            kinds,
            [
                ("variable", &["A".to_owned()][..]),
                ("target", &["t".to_owned()][..])
            ]
        );
        for (text, expected) in [
            ("target \"t\" {", (1, "expected a name".to_owned())),
            ("\n\na = ", (4, "expected a name".to_owned())),
            ("a = \"x\n", (2, "the string has no end".to_owned())),
            ("a b", (1, "expected `{`, not `b`".to_owned())),
        ] {
            assert_eq!(parse(text).unwrap_err().1, expected.1, "{text:?}");
        }
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn an_expression_has_a_limit() {
        assert_eq!(
            value(&vec!["1"; 100_000].join(" == ")),
            Err("the expression has too many operators".to_owned())
        );
        assert_eq!(value("1 == 1 == true != false"), Ok(Value::Bool(true)));
        // Each here-document is in an expression of the one around it.
        let open: Vec<String> = (0..2_000).map(|n| format!("<<E{n}\n${{")).collect();
        let close: Vec<String> = (0..2_000).rev().map(|n| format!("}}\nE{n}\n")).collect();
        let (open, close) = (open.concat(), close.concat());
        assert_eq!(
            value(&format!("{open}V{close}")),
            Err("the nesting is too deep".to_owned())
        );
        let long = "the value is longer than 1 MiB".to_owned();
        let text = "x".repeat(600_000);
        for expression in [
            format!("\"${{\"{text}\"}}${{\"{text}\"}}\""),
            format!("[\"{text}\", \"{text}\"]"),
            format!("{{ a = \"{text}\", b = \"{text}\" }}"),
            format!("concat([\"{text}\"], [\"{text}\"])"),
            format!("replace(\"{text}\", \"x\", \"yy\")"),
            format!("join(\"{text}\", [\"\", \"\", \"\"])"),
        ] {
            assert_eq!(
                value(&expression),
                Err(long.clone()),
                "{}",
                &expression[..20]
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\"{}\\[\\]=$<!?:,()\n \\\\-]{0,60}") {
            drop(parse(&text));
            drop(template(&text));
        }
    }
}
