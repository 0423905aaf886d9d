//! `--secret id=NAME,src=FILE|env=VAR`, as docker's own flag reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
}

/// What is wrong with a `--secret`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not `id=NAME,src=FILE` or `id=NAME,env=VAR`.
    #[error("`--secret {0}` is not id=NAME,src=FILE or id=NAME,env=VAR")]
    Syntax(String),
    /// Two secrets have one name.
    #[error("the secret `{0}` is given twice")]
    Twice(String),
    /// The variable is not set.
    #[error("the secret `{name}` should come from ${variable}, which is not set")]
    Unset {
        /// The secret.
        name: String,
        /// The variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("the secret `{name}` should come from {path}: {source}")]
    File {
        /// The secret.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step asks for a secret that was not given.
    #[error(
        "{image} needs the secret `{name}`; give it with --secret id={name},src=FILE or --secret id={name},env=VAR"
    )]
    Missing {
        /// The image.
        image: String,
        /// The secret.
        name: String,
    },
}

/// Reads one `--secret`. Without `src` and `env` the secret comes from the variable of its own name.
pub fn parse(text: &str) -> Result<(String, SecretSource), Error> {
    let syntax = || Error::Syntax(keys_of(text));
    let (mut name, mut source) = (None, None);
    for part in text.split(',') {
        let (key, value) = part
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(syntax)?;
        match key {
            "id" if name.is_none() => name = Some(value.to_owned()),
            "src" | "source" if source.is_none() => source = Some(SecretSource::File(value.into())),
            "env" if source.is_none() => source = Some(SecretSource::Variable(value.to_owned())),
            "type" if matches!(value, "file" | "env") => {}
            _ => return Err(syntax()),
        }
    }
    let name = name.ok_or_else(syntax)?;
    Ok((name.clone(), source.unwrap_or(SecretSource::Variable(name))))
}

/// A `--secret` without what may be the secret itself, which people write there.
fn keys_of(text: &str) -> String {
    let shown = |part: &str| match part.split_once('=') {
        Some(("id" | "src" | "source" | "env" | "type", _)) => part.to_owned(),
        Some(("value", _)) => "value=***".to_owned(),
        _ => "***".to_owned(),
    };
    text.split(',').map(shown).collect::<Vec<_>>().join(",")
}

/// Reads all secrets of a command line; relative files are looked for below `cwd`.
pub fn read(
    texts: &[String],
    env: &BTreeMap<String, String>,
    cwd: &Path,
) -> Result<BTreeMap<String, Secret<Vec<u8>>>, Error> {
    let mut secrets = BTreeMap::new();
    for text in texts {
        let (name, source) = parse(text)?;
        let value = match source {
            SecretSource::Variable(variable) => match env.get(&variable) {
                Some(value) => value.clone().into_bytes(),
                None => return Err(Error::Unset { name, variable }),
            },
            SecretSource::File(path) => {
                read_file(&cwd.join(path)).map_err(|(path, source)| Error::File {
                    name: name.clone(),
                    path,
                    source,
                })?
            }
        };
        if secrets.insert(name.clone(), Secret::new(value)).is_some() {
            return Err(Error::Twice(name));
        }
    }
    Ok(secrets)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the error is given its path and the secret's name by the caller"
)]
fn read_file(path: &Path) -> Result<Vec<u8>, (PathBuf, std::io::Error)> {
    std::fs::read(path).map_err(|error| (path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_others_refused() {
        assert_eq!(
            parse("id=a,src=f").unwrap(),
            ("a".to_owned(), SecretSource::File("f".into()))
        );
        assert_eq!(
            parse("env=V,id=a").unwrap(),
            ("a".to_owned(), SecretSource::Variable("V".to_owned()))
        );
        assert_eq!(
            parse("id=TOKEN").unwrap(),
            (
                "TOKEN".to_owned(),
                SecretSource::Variable("TOKEN".to_owned())
            )
        );
        for bad in [
            "",
            "a",
            "id=",
            "src=f",
            "id=a,src=f,env=V",
            "id=a,id=b",
            "id=a,what=x",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn an_error_does_not_show_the_secret() {
        for (text, shown) in [
            ("id=a,value=hunter2", "id=a,value=***"),
            ("id=a,value=hunter2,and=more", "id=a,value=***,***"),
            ("aHVudGVyMg==", "***"),
            ("hunter2", "***"),
            ("id=a,hunter2", "id=a,***"),
            ("id=a,env=X,HUNTER=2", "id=a,env=X,***"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`--secret {shown}`")) && !error.contains("unter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_unset_variable_is_named_and_no_value_is_shown() {
        let env = BTreeMap::from([("V".to_owned(), "hunter2".to_owned())]);
        let secrets = read(&["id=a,env=V".to_owned()], &env, Path::new("/")).unwrap();
        assert!(!format!("{secrets:?}").contains("hunter2"));
        let error = read(&["id=a,env=W".to_owned()], &env, Path::new("/")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the secret `a` should come from $W, which is not set"
        );
    }
}
