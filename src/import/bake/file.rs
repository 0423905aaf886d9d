//! The blocks of a bake file: variables, groups and targets.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::Value;

use super::expression::{Expression, size, text};
use super::hcl::{self, HclBody};
use super::target::BakeTarget;

/// The maximum number of targets, with those of matrices.
const MAX_TARGETS: usize = 1_000;
/// The maximum number of times that a target is read: for itself, and each time that a target inherits
/// from it.
const MAX_VISITS: usize = 10_000;
/// The longest chain of targets that inherit from each other.
const MAX_CHAIN: usize = 64;
/// The maximum size of the values of all variables, and of those of all targets, in bytes.
const MAX_VALUES: usize = 4 << 20;
/// The maximum number of attempts to evaluate a variable.
const MAX_ATTEMPTS: usize = 20_000;

/// The reason why a bake file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BakeError {
    /// The text is not HCL.
    #[error("line {line}: {problem}")]
    Hcl {
        /// The number of the line.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// The text is not JSON.
    #[error("{0}")]
    Json(String),
    /// The text is not YAML.
    #[error("{0}")]
    Yaml(String),
    /// There is no target.
    #[error("the file has no target")]
    NoTarget,
    /// There are too many targets.
    #[error("the file has more than {MAX_TARGETS} targets")]
    TooMany,
    /// The values are too large together.
    #[error("the values of the file are too large together")]
    TooLarge,
    /// Too many targets are inherited from.
    #[error("target {0}: it inherits from too many targets")]
    TooMuchInherited(String),
    /// Two targets have one name.
    #[error("two targets have the name {0}; a target with a matrix needs a `name` with its values")]
    SameName(String),
    /// A target inherits from a target that does not exist, or from itself.
    #[error("target {target}: it cannot inherit from `{parent}`")]
    Inherits {
        /// The name of the target.
        target: String,
        /// The target that it names.
        parent: String,
    },
    /// The name or the matrix of a target cannot be evaluated.
    #[error("target {target}: {problem}")]
    Target {
        /// The name of the target.
        target: String,
        /// The problem.
        problem: String,
    },
}

/// The attributes of a target.
type Attributes = Vec<(String, Expression)>;

/// The content of a file.
#[derive(Debug, Default)]
struct BakeFile {
    variables: Vec<(String, Expression)>,
    targets: IndexMap<String, Attributes>,
}

/// Reads the targets of a file in HCL. `set` overrides variables.
pub fn parse_hcl(text: &str, set: &BTreeMap<String, String>) -> Result<Vec<BakeTarget>, BakeError> {
    let body = hcl::parse(text).map_err(|(line, problem)| BakeError::Hcl { line, problem })?;
    let HclBody { attributes, blocks } = body;
    let mut file = BakeFile {
        variables: attributes,
        ..BakeFile::default()
    };
    for block in blocks {
        let name = block.labels.into_iter().next().unwrap_or_default();
        match block.kind.as_str() {
            "variable" => {
                let default = block.body.attributes.into_iter();
                let mut default = default.filter(|(key, _)| key == "default");
                let default = default.next().map(|(_, value)| value);
                let empty = Expression::Literal(Value::String(String::new()));
                file.variables.push((name, default.unwrap_or(empty)));
            }
            "target" => {
                let target = file.targets.entry(name).or_default();
                target.extend(block.body.attributes);
            }
            _ => {}
        }
    }
    file.targets(set)
}

/// Reads the targets of a file in JSON. `set` overrides variables.
pub fn parse_json(
    text: &str,
    set: &BTreeMap<String, String>,
) -> Result<Vec<BakeTarget>, BakeError> {
    let json: Value =
        serde_json::from_str(text).map_err(|error| BakeError::Json(error.to_string()))?;
    let mut file = BakeFile::default();
    let objects = |key: &str| json[key].as_object().into_iter().flatten();
    for (name, variable) in objects("variable") {
        let default = of_json(&variable["default"]).map_err(BakeError::Json)?;
        file.variables.push((name.clone(), default));
    }
    for (name, target) in objects("target") {
        let attributes = target.as_object().into_iter().flatten();
        let attributes = attributes.map(|(key, value)| Ok((key.clone(), of_json(value)?)));
        let attributes = attributes.collect::<Result<_, String>>();
        file.targets
            .insert(name.clone(), attributes.map_err(BakeError::Json)?);
    }
    file.targets(set)
}

/// The expression of a JSON value, in whose strings `${…}` has a meaning.
fn of_json(value: &Value) -> Result<Expression, String> {
    Ok(match value {
        Value::String(text) => hcl::template(text)?,
        Value::Array(items) => {
            Expression::List(items.iter().map(of_json).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let pair = |(key, value): (&String, &Value)| {
                let key = Expression::Literal(Value::String(key.clone()));
                Ok((key, of_json(value)?))
            };
            Expression::Object(object.iter().map(pair).collect::<Result<_, String>>()?)
        }
        other => Expression::Literal(other.clone()),
    })
}

/// The work for the targets of a file so far.
#[derive(Debug, Default)]
struct FileWork {
    /// The chain of inheritance that is read: a target, the one that it inherits from, and so on.
    open: BTreeSet<String>,
    /// The number of times that a target was read.
    visits: usize,
    /// The size of the values of all targets, in bytes.
    size: usize,
}

impl BakeFile {
    fn targets(&self, set: &BTreeMap<String, String>) -> Result<Vec<BakeTarget>, BakeError> {
        let variables = self.values(set)?;
        let mut work = FileWork::default();
        // A target whose name begins with `_` is only inherited from.
        let names = self.targets.keys().filter(|name| !name.starts_with('_'));
        let mut targets: Vec<BakeTarget> = Vec::new();
        let mut found = BTreeSet::new();
        for name in names {
            for row in self.matrix(name, &variables, &mut work)? {
                let mut all = variables.clone();
                all.extend(row);
                let target = self.target(name, &all, &mut work)?;
                if !found.insert(target.name.clone()) {
                    return Err(BakeError::SameName(target.name));
                }
                targets.push(target);
                if targets.len() > MAX_TARGETS {
                    return Err(BakeError::TooMany);
                }
            }
        }
        if targets.is_empty() {
            return Err(BakeError::NoTarget);
        }
        Ok(targets)
    }

    /// The values of the variables. A variable may refer to others in any order. Fails if they are
    /// too large together, or if too many of them depend on each other.
    fn values(&self, set: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, BakeError> {
        let mut values: BTreeMap<String, Value> = set
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        let mut open: Vec<&(String, Expression)> = self.variables.iter().collect();
        let (mut total, mut attempts) = (0, 0);
        loop {
            let before = values.len();
            let mut failed = Vec::new();
            for variable in open {
                let (name, default) = variable;
                if values.contains_key(name) {
                    continue;
                }
                attempts += 1;
                if attempts > MAX_ATTEMPTS {
                    return Err(BakeError::TooLarge);
                }
                let Ok(value) = default.value(&values) else {
                    failed.push(variable);
                    continue;
                };
                total += size(&value).map_err(|_| BakeError::TooLarge)?;
                if total > MAX_VALUES {
                    return Err(BakeError::TooLarge);
                }
                values.insert(name.clone(), value);
            }
            if values.len() == before {
                return Ok(values);
            }
            open = failed;
        }
    }

    /// The combinations of the matrix of a target; one empty one without a matrix. Fails if there are
    /// too many, or if their values are too large together.
    fn matrix(
        &self,
        name: &str,
        variables: &BTreeMap<String, Value>,
        work: &mut FileWork,
    ) -> Result<Vec<BTreeMap<String, Value>>, BakeError> {
        let failed = |problem: String| BakeError::Target {
            target: name.to_owned(),
            problem,
        };
        let mut rows = vec![BTreeMap::new()];
        let Some(matrix) = self.attribute(name, "matrix") else {
            return Ok(rows);
        };
        let matrix = matrix.value(variables).map_err(failed)?;
        let mut total = 0_usize;
        for (axis, values) in matrix.as_object().into_iter().flatten() {
            let added = size(values).map_err(failed)?;
            let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
            if rows.len().saturating_mul(values.len()) > MAX_TARGETS {
                return Err(failed(format!(
                    "its matrix has more than {MAX_TARGETS} combinations"
                )));
            }
            // Each combination so far is copied for each value.
            let added = added + values.len() * axis.len();
            total = total
                .saturating_mul(values.len())
                .saturating_add(rows.len().saturating_mul(added));
            work.size = work.size.saturating_add(total);
            if work.size > MAX_VALUES {
                return Err(failed(
                    "the values of its matrix are too large together".to_owned(),
                ));
            }
            let mut next = Vec::new();
            for row in &rows {
                for value in values {
                    let mut row = row.clone();
                    flatten(axis, value, &mut row);
                    next.push(row);
                }
            }
            rows = next;
        }
        Ok(rows)
    }

    fn attribute(&self, target: &str, key: &str) -> Option<&Expression> {
        let attributes = self.targets.get(target)?;
        let found = attributes.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    fn target(
        &self,
        name: &str,
        variables: &BTreeMap<String, Value>,
        work: &mut FileWork,
    ) -> Result<BakeTarget, BakeError> {
        let mut target = BakeTarget::default();
        self.inherit(name, variables, &mut target, work)?;
        name.clone_into(&mut target.name);
        if let Some(expression) = self.attribute(name, "name") {
            let value = expression.value(variables);
            target.name = text(&value.map_err(|problem| BakeError::Target {
                target: name.to_owned(),
                problem,
            })?);
        }
        Ok(target)
    }

    /// Sets the attributes of the targets that a target inherits from, and then its own.
    fn inherit(
        &self,
        name: &str,
        variables: &BTreeMap<String, Value>,
        target: &mut BakeTarget,
        work: &mut FileWork,
    ) -> Result<(), BakeError> {
        work.visits += 1;
        if work.visits > MAX_VISITS || work.open.len() == MAX_CHAIN {
            return Err(BakeError::TooMuchInherited(name.to_owned()));
        }
        work.open.insert(name.to_owned());
        let parents = self.attribute(name, "inherits");
        let parents = parents.and_then(|parents| parents.value(variables).ok());
        let parents = parents.as_ref().and_then(Value::as_array);
        for parent in parents.into_iter().flatten().map(text) {
            if !self.targets.contains_key(&parent) || work.open.contains(&parent) {
                return Err(BakeError::Inherits {
                    target: name.to_owned(),
                    parent,
                });
            }
            self.inherit(&parent, variables, target, work)?;
        }
        work.open.remove(name);
        for (key, expression) in self.targets.get(name).into_iter().flatten() {
            match expression.value(variables) {
                Ok(value) => {
                    work.size += size(&value).map_err(|_| BakeError::TooLarge)?;
                    if work.size > MAX_VALUES {
                        return Err(BakeError::TooLarge);
                    }
                    target.set(key, &value);
                }
                Err(problem) => target.leave_out(key, problem),
            }
        }
        Ok(())
    }
}

/// Sets the variables of a value of a matrix: `axis`, or `axis.key` for an object.
fn flatten(axis: &str, value: &Value, row: &mut BTreeMap<String, Value>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        row.insert(format!("{axis}.{key}"), value.clone());
    }
    row.insert(axis.to_owned(), value.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
variable "TAG" { default = "1.2.3" }
variable "FULL" { default = "${REPO}:${TAG}" }
REPO = "registry.example.com/team/app"
group "default" { targets = ["app"] }
target "_common" {
  labels = { team = "a", stage = "x" }
  platforms = ["linux/amd64", "linux/arm64"]
  cache-from = ["type=gha"]
}
target "app" {
  inherits = ["_common"]
  context = "."
  args = { VERSION = TAG, EMPTY = null }
  labels = { stage = "y" }
  tags = [FULL, notequal("", TAG) ? "${REPO}:latest" : ""]
}
target "tool" {
  name = "tool-${replace(item.version, ".", "-")}-${os}"
  matrix = {
    item = [{ version = "1.0" }, { version = "2.0" }]
    os = ["alpine"]
  }
  dockerfile = "Dockerfile.${os}"
  args = { V = item.version, BAD = timestamp() }
}
"#;

    #[test]
    fn targets_inherit_and_matrices_are_expanded() {
        let targets = parse_hcl(FILE, &BTreeMap::new()).unwrap();
        insta::assert_debug_snapshot!(targets);
        let set = BTreeMap::from([("TAG".to_owned(), "9.0.0".to_owned())]);
        let targets = parse_hcl(FILE, &set).unwrap();
        assert_eq!(targets[0].tags[0], "registry.example.com/team/app:9.0.0");
    }

    #[test]
    fn json_has_the_same_targets() {
        let json = r#"{"variable": {"TAG": {"default": "1"}}, "target": {"app": {"tags": ["a:${TAG}"], "args": {"A": "b"}}}}"#;
        let hcl = "variable \"TAG\" { default = \"1\" }\ntarget \"app\" {\n tags = [\"a:${TAG}\"]\n args = { A = \"b\" }\n}\n";
        let none = BTreeMap::new();
        assert_eq!(parse_json(json, &none), parse_hcl(hcl, &none));
    }

    #[test]
    fn a_file_without_a_valid_target_is_refused() {
        let none = BTreeMap::new();
        for (text, expected) in [
            ("group \"a\" {}\n", "the file has no target"),
            ("target \"a\" {\n", "line 2: expected a name"),
            (
                "target \"a\" { inherits = [\"b\"] }\n",
                "target a: it cannot inherit from `b`",
            ),
            (
                "target \"a\" { inherits = [\"a\"] }\n",
                "target a: it cannot inherit from `a`",
            ),
            (
                "target \"a\" { name = X }\n",
                "target a: the variable X is not defined",
            ),
            (
                "target \"a\" { matrix = { x = [\"1\", \"2\"] } }\n",
                "two targets have the name a; a target with a matrix needs a `name` with its values",
            ),
            (
                "target \"a\" {}\ntarget \"b\" { name = \"a\" }\n",
                "two targets have the name a; a target with a matrix needs a `name` with its values",
            ),
        ] {
            assert_eq!(parse_hcl(text, &none).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_file_cannot_need_unbounded_work() {
        let none = BTreeMap::new();
        let refused = |text: &str| parse_hcl(text, &none).unwrap_err().to_string();
        // Each target inherits twice from the one before it.
        let mut twice = "target \"t0\" {}\n".to_owned();
        for number in 1..40 {
            let parent = format!("\"t{}\"", number - 1);
            twice.extend([format!(
                "target \"t{number}\" {{ inherits = [{parent}, {parent}] }}\n"
            )]);
        }
        assert!(refused(&twice).ends_with("it inherits from too many targets"));
        let chain = |length: usize| -> String {
            let links = (1..length).map(|number| {
                format!(
                    "target \"_{number}\" {{ inherits = [\"_{}\"] }}\n",
                    number - 1
                )
            });
            let last = format!("target \"a\" {{ inherits = [\"_{}\"] }}\n", length - 1);
            ["target \"_0\" {}\n".to_owned()]
                .into_iter()
                .chain(links)
                .chain([last])
                .collect()
        };
        assert_eq!(parse_hcl(&chain(63), &none).unwrap().len(), 1);
        assert!(refused(&chain(100_000)).ends_with("it inherits from too many targets"));
        // Each variable is twice as long as the one before it, and is undefined from 1 MiB on.
        let mut doubled = "A0 = \"0123456789abcdef\"\n".to_owned();
        for number in 1..40 {
            let before = format!("${{A{}}}", number - 1);
            doubled.extend([format!("A{number} = \"{before}{before}\"\n")]);
        }
        let name = format!("{doubled}target \"a\" {{ name = A39 }}\n");
        assert_eq!(refused(&name), "target a: the variable A39 is not defined");
        let long = format!("A = \"{}\"\n", "x".repeat(900_000));
        let copies: Vec<String> = (0..100).map(|number| format!("B{number} = A\n")).collect();
        let copies = copies.concat();
        assert_eq!(
            refused(&format!("{long}{copies}target \"a\" {{}}\n")),
            "the values of the file are too large together"
        );
        let nested: Vec<String> = (1..5_000)
            .map(|number| format!("A{number} = [A{}]\n", number - 1))
            .collect();
        let nested = nested.concat();
        let nested = format!("A0 = []\n{nested}target \"a\" {{}}\n");
        assert!(parse_hcl(&nested, &none).is_ok());
        let axis = vec!["\"x\""; 2_000].join(", ");
        let matrix = format!("target \"a\" {{ matrix = {{ x = [{axis}], y = [{axis}] }} }}\n");
        let combinations = "target a: its matrix has more than 1000 combinations";
        assert_eq!(refused(&matrix), combinations);
        let axes: Vec<String> = (0..64).map(|axis| format!("x{axis} = [1, 2]")).collect();
        let matrix = format!("target \"a\" {{ matrix = {{ {} }} }}\n", axes.join(", "));
        assert_eq!(refused(&matrix), combinations);
        let large = "target a: the values of its matrix are too large together";
        let axis = vec!["\"x\""; 1_000].join(", ");
        let long = "x".repeat(100_000);
        let matrix = format!("target \"a\" {{ matrix = {{ x = [{axis}], y = [\"{long}\"] }} }}\n");
        assert_eq!(refused(&matrix), large);
        let axes: Vec<String> = (0..20_000).map(|axis| format!("x{axis} = [1]")).collect();
        let matrix = format!("target \"a\" {{ matrix = {{ {} }} }}\n", axes.join(", "));
        assert_eq!(refused(&matrix), large);
    }
}
