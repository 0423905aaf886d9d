//! Converts the YAML of a file to its tests.

use super::yaml::{self, Key, YamlNode, YamlValue};
use super::{
    CommandCheck, ContentCheck, ExistenceCheck, ExpectedValue, GoPattern, METADATA, MetadataCheck,
    Mistake, Patterns, StructureCase, StructureCheck, StructureFile, span,
};

/// The schema that golden reads.
const SCHEMA: &str = "2.0.0";

/// Reads the keys of a test except its name.
type ReadCheck = fn(&mut Map<'_>) -> Result<StructureCheck, Mistake>;

/// Reads the text of a file. Fails at the first mistake.
pub fn parse(text: &str) -> Result<StructureFile, Mistake> {
    let empty = || Mistake::at(0, "the file has no `schemaVersion`");
    let document = yaml::parse(text)?.ok_or_else(empty)?;
    let mut top = Map::of(&document, "the file")?;
    match top.text("schemaVersion")? {
        Some(version) if version == SCHEMA => {}
        Some(version) => {
            let at = top.at("schemaVersion");
            return Err(Mistake::at(
                at,
                format!("`schemaVersion: {version}` is not supported; write {SCHEMA}"),
            ));
        }
        None => return Err(empty()),
    }
    refuse(
        &mut top,
        "licenseTests",
        "check the licenses with a [[gate]] that reads the bill of materials ({sbom})",
    )?;
    refuse(
        &mut top,
        "containerRunOptions",
        "set the user, the variables and the network in a [[test]] with `run`",
    )?;
    let mut file = StructureFile {
        env: top.pairs("globalEnvVars")?,
        cases: Vec::new(),
    };
    let mut add = |at, name, check| {
        let span = span(at, text);
        file.cases.push(StructureCase { name, span, check });
    };
    let kinds: [(_, ReadCheck); 3] = [
        (("commandTests", "an entry of `commandTests`"), command),
        (
            ("fileContentTests", "an entry of `fileContentTests`"),
            content,
        ),
        (
            ("fileExistenceTests", "an entry of `fileExistenceTests`"),
            existence,
        ),
    ];
    for ((list, what), read) in kinds {
        for node in top.list(list)? {
            let mut map = Map::of(node, what)?;
            let name = map.required("name")?;
            let check = read(&mut map)?;
            map.end()?;
            add(node.at, name, check);
        }
    }
    if let Some((key, node)) = top.take("metadataTest") {
        let check = metadata(node)?;
        if check != MetadataCheck::default() {
            add(
                key.at,
                METADATA.to_owned(),
                StructureCheck::Metadata(Box::new(check)),
            );
        }
    }
    top.end()?;
    if file.cases.is_empty() {
        return Err(Mistake::at(
            document.at,
            "the file has no tests, so container-structure-test fails",
        ));
    }
    Ok(file)
}

fn refuse(top: &mut Map<'_>, name: &'static str, help: &'static str) -> Result<(), Mistake> {
    match top.take(name) {
        Some((key, node)) if !is_empty(node) => Err(Mistake {
            help: Some(help),
            ..Mistake::at(key.at, format!("`{name}` is not supported"))
        }),
        _ => Ok(()),
    }
}

/// True if the value is null, an empty list or an empty map.
fn is_empty(node: &YamlNode) -> bool {
    match &node.value {
        YamlValue::Scalar { .. } => is_null(node),
        YamlValue::List(items) => items.is_empty(),
        YamlValue::Map(entries) => entries.is_empty(),
    }
}

fn command(map: &mut Map<'_>) -> Result<StructureCheck, Mistake> {
    let mut words = vec![map.required("command")?];
    words.extend(map.texts("args")?.unwrap_or_default());
    let setup = map.commands("setup")?;
    // They are checked, but never run: each test has its own container.
    map.commands("teardown")?;
    let env = map.pairs("envVars")?;
    if env
        .iter()
        .any(|(name, value)| name.is_empty() || value.is_empty())
    {
        return Err(Mistake::at(
            map.node.at,
            "a variable of `envVars` has no name or no value",
        ));
    }
    Ok(StructureCheck::Command(CommandCheck {
        setup,
        words,
        env,
        exit: map.number("exitCode")?.unwrap_or(0),
        stdout: map.patterns("expectedOutput", "excludedOutput")?,
        stderr: map.patterns("expectedError", "excludedError")?,
    }))
}

fn content(map: &mut Map<'_>) -> Result<StructureCheck, Mistake> {
    Ok(StructureCheck::Content(ContentCheck {
        path: map.required("path")?,
        patterns: map.patterns("expectedContents", "excludedContents")?,
    }))
}

fn existence(map: &mut Map<'_>) -> Result<StructureCheck, Mistake> {
    let executable_at = map.at("isExecutableBy");
    let executable_by = match map.filled("isExecutableBy")?.as_deref() {
        None => None,
        Some("owner") => Some(("owner", 0o100)),
        Some("group") => Some(("group", 0o010)),
        Some("other") => Some(("other", 0o001)),
        Some("any") => Some(("any", 0o111)),
        Some(other) => {
            let message = format!("`{other}` is not owner, group, other or any");
            return Err(Mistake::at(executable_at, message));
        }
    };
    Ok(StructureCheck::Existence(ExistenceCheck {
        path: map.required("path")?,
        should_exist: map.flag("shouldExist")?.unwrap_or(true),
        permissions: map.filled("permissions")?,
        uid: map.id("uid")?,
        gid: map.id("gid")?,
        executable_by,
    }))
}

fn metadata(node: &YamlNode) -> Result<MetadataCheck, Mistake> {
    if is_null(node) {
        return Ok(MetadataCheck::default());
    }
    let mut map = Map::of(node, "`metadataTest`")?;
    let check = MetadataCheck {
        env: map.values("envVars")?,
        unbound_env: map
            .pairs("unboundEnvVars")?
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        labels: map.values("labels")?,
        exposed_ports: map.not_empty("exposedPorts")?,
        unexposed_ports: map.texts("unexposedPorts")?.unwrap_or_default(),
        volumes: map.not_empty("volumes")?,
        unmounted_volumes: map.texts("unmountedVolumes")?.unwrap_or_default(),
        entrypoint: map.texts("entrypoint")?,
        cmd: map.texts("cmd")?,
        workdir: map.filled("workdir")?,
        user: map.filled("user")?,
    };
    map.end()?;
    Ok(check)
}

/// A map of which each key is read once. The keys that are left at the end are unknown.
struct Map<'n> {
    node: &'n YamlNode,
    what: &'static str,
    left: Vec<(&'n Key, &'n YamlNode)>,
    known: Vec<&'static str>,
}

impl<'n> Map<'n> {
    fn of(node: &'n YamlNode, what: &'static str) -> Result<Self, Mistake> {
        let YamlValue::Map(entries) = &node.value else {
            return Err(Mistake::at(node.at, format!("{what} must be a map")));
        };
        Ok(Self {
            node,
            what,
            left: entries.iter().map(|(key, value)| (key, value)).collect(),
            known: Vec::new(),
        })
    }

    fn take(&mut self, name: &'static str) -> Option<(&'n Key, &'n YamlNode)> {
        self.known.push(name);
        let place = self.left.iter().position(|(key, _)| key.name == name)?;
        Some(self.left.remove(place))
    }

    /// The position of the value of a key that is not read yet, or else of the map.
    fn at(&self, name: &str) -> usize {
        let YamlValue::Map(entries) = &self.node.value else {
            return self.node.at;
        };
        let found = entries.iter().find(|(key, _)| key.name == name);
        found.map_or(self.node.at, |(_, value)| value.at)
    }

    fn end(self) -> Result<(), Mistake> {
        let Some((key, _)) = self.left.first() else {
            return Ok(());
        };
        let known = self.known.join(", ");
        let message = format!(
            "{} has no key `{}` (the keys are {known})",
            self.what, key.name
        );
        Err(Mistake::at(key.at, message))
    }

    /// A text; null is as if the key were missing.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, Mistake> {
        let Some((_, node)) = self.take(name) else {
            return Ok(None);
        };
        Ok(text(node, name)?.filter(|_| !is_null(node)))
    }

    /// A text; an empty text is as if the key were missing.
    fn filled(&mut self, name: &'static str) -> Result<Option<String>, Mistake> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A text that is not empty.
    fn required(&mut self, name: &'static str) -> Result<String, Mistake> {
        let text = self.filled(name)?;
        let missing = || Mistake::at(self.node.at, format!("{} needs `{name}`", self.what));
        text.ok_or_else(missing)
    }

    /// The items of a list; null is an empty list.
    fn list(&mut self, name: &'static str) -> Result<&'n [YamlNode], Mistake> {
        Ok(self.list_of(name)?.unwrap_or_default())
    }

    fn list_of(&mut self, name: &'static str) -> Result<Option<&'n [YamlNode]>, Mistake> {
        let Some((_, node)) = self.take(name) else {
            return Ok(None);
        };
        items(node, name)
    }

    fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Mistake> {
        let Some(items) = self.list_of(name)? else {
            return Ok(None);
        };
        texts(items, name).map(Some)
    }

    /// Texts of which none is empty.
    fn not_empty(&mut self, name: &'static str) -> Result<Vec<String>, Mistake> {
        let at = self.at(name);
        let texts = self.texts(name)?.unwrap_or_default();
        if texts.iter().any(String::is_empty) {
            return Err(Mistake::at(at, format!("an entry of `{name}` is empty")));
        }
        Ok(texts)
    }

    /// Commands, each with a program.
    fn commands(&mut self, name: &'static str) -> Result<Vec<Vec<String>>, Mistake> {
        let mut commands = Vec::new();
        for node in self.list(name)? {
            let words = texts(items(node, name)?.unwrap_or_default(), name)?;
            if words.is_empty() {
                return Err(Mistake::at(
                    node.at,
                    format!("a command of `{name}` is empty"),
                ));
            }
            commands.push(words);
        }
        Ok(commands)
    }

    fn patterns(
        &mut self,
        expected: &'static str,
        excluded: &'static str,
    ) -> Result<Patterns, Mistake> {
        let mut compiled = |name| {
            let mut patterns = Vec::new();
            for node in self.list(name)? {
                patterns.push(pattern(node, &text(node, name)?.unwrap_or_default())?);
            }
            Ok(patterns)
        };
        Ok(Patterns {
            expected: compiled(expected)?,
            excluded: compiled(excluded)?,
        })
    }

    /// Variables as `key` and `value`.
    fn pairs(&mut self, name: &'static str) -> Result<Vec<(String, String)>, Mistake> {
        let pairs = self.list(name)?.iter().map(|node| Ok(pair(node)?.0));
        pairs.collect()
    }

    /// Variables or labels with their values.
    fn values(&mut self, name: &'static str) -> Result<Vec<(String, ExpectedValue)>, Mistake> {
        let mut values = Vec::new();
        for node in self.list(name)? {
            let ((key, value), is_regex) = pair(node)?;
            if key.is_empty() {
                return Err(Mistake::at(
                    node.at,
                    format!("an entry of `{name}` needs `key`"),
                ));
            }
            let value = if is_regex {
                ExpectedValue::Matches(pattern(node, &value)?)
            } else {
                ExpectedValue::Equals(value)
            };
            values.push((key, value));
        }
        Ok(values)
    }

    fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Mistake> {
        let Some((_, node)) = self.take(name) else {
            return Ok(None);
        };
        let wrong = || Mistake::at(node.at, format!("`{name}` must be true or false"));
        match &node.value {
            _ if is_null(node) => Ok(None),
            YamlValue::Scalar {
                text,
                is_plain: true,
            } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Ok(Some(true)),
                "false" | "no" | "off" | "n" => Ok(Some(false)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    fn number(&mut self, name: &'static str) -> Result<Option<i64>, Mistake> {
        let Some((_, node)) = self.take(name) else {
            return Ok(None);
        };
        match &node.value {
            _ if is_null(node) => Ok(None),
            YamlValue::Scalar {
                text,
                is_plain: true,
            } => {
                let wrong = || Mistake::at(node.at, format!("`{text}` is not a whole number"));
                integer(text).map(Some).ok_or_else(wrong)
            }
            _ => Err(Mistake::at(node.at, format!("`{name}` must be a number"))),
        }
    }

    /// The id of a user or a group. -1 is any id.
    fn id(&mut self, name: &'static str) -> Result<Option<u64>, Mistake> {
        let at = self.at(name);
        match self.number(name)? {
            None | Some(-1) => Ok(None),
            Some(id) => {
                let wrong = |_| Mistake::at(at, format!("`{id}` is not an id"));
                u64::try_from(id).map(Some).map_err(wrong)
            }
        }
    }
}

/// A pattern that a node contains.
fn pattern(node: &YamlNode, written: &str) -> Result<GoPattern, Mistake> {
    GoPattern::new(written).map_err(|message| Mistake::at(node.at, message))
}

/// A key, a value, and true if the value is a regular expression.
fn pair(node: &YamlNode) -> Result<((String, String), bool), Mistake> {
    let mut map = Map::of(node, "a variable or a label")?;
    let key = map.text("key")?.unwrap_or_default();
    let value = map.text("value")?.unwrap_or_default();
    let is_regex = map.flag("isRegex")?.unwrap_or(false);
    map.end()?;
    Ok(((key, value), is_regex))
}

/// The items of a list; `None` for null.
fn items<'n>(node: &'n YamlNode, name: &str) -> Result<Option<&'n [YamlNode]>, Mistake> {
    match &node.value {
        YamlValue::List(items) => Ok(Some(items)),
        _ if is_null(node) => Ok(None),
        _ => Err(Mistake::at(node.at, format!("`{name}` must be a list"))),
    }
}

fn texts(items: &[YamlNode], name: &str) -> Result<Vec<String>, Mistake> {
    let texts = items
        .iter()
        .map(|node| Ok(text(node, name)?.unwrap_or_default()));
    texts.collect()
}

/// A scalar as it is written; `None` for null.
fn text(node: &YamlNode, name: &str) -> Result<Option<String>, Mistake> {
    match &node.value {
        _ if is_null(node) => Ok(None),
        YamlValue::Scalar { text, .. } => Ok(Some(text.clone())),
        _ => Err(Mistake::at(node.at, format!("`{name}` must have strings"))),
    }
}

fn is_null(node: &YamlNode) -> bool {
    match &node.value {
        YamlValue::Scalar { text, is_plain } => {
            *is_plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_str())
        }
        _ => false,
    }
}

/// A number in the notation of YAML 1.1: a leading 0 is octal.
fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(digits, radix)
        .ok()
        .map(|number| sign * number)
}
