//! The option `--secret id=NAME,src=FILE|env=VAR`, in the syntax of `docker build --secret`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// The source of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file.
    File(PathBuf),
    /// The value of an environment variable.
    Variable(String),
}

/// The reason why a `--secret` is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value does not have the form `id=NAME,src=FILE` or `id=NAME,env=VAR`.
    #[error("`--secret {0}` does not have the form id=NAME,src=FILE or id=NAME,env=VAR")]
    Syntax(String),
    /// Two secrets have the same name.
    #[error("the secret `{0}` is passed twice")]
    Twice(String),
    /// The variable is not set.
    #[error("cannot read the secret `{name}`: the environment variable {variable} is not set")]
    Unset {
        /// The name of the secret.
        name: String,
        /// The name of the variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("cannot read the secret `{name}` from {path}: {source}")]
    File {
        /// The name of the secret.
        name: String,
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A step requires a secret that was not passed.
    #[error(
        "{image} requires the secret `{name}`; pass it with --secret id={name},src=FILE or --secret id={name},env=VAR"
    )]
    Missing {
        /// Display name of the image.
        image: String,
        /// The name of the secret.
        name: String,
    },
}

/// Parses one `--secret`. If `src` and `env` are omitted, the secret comes from the environment
/// variable with its name. Fails if the syntax is wrong.
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

/// The value of a `--secret` for an error message. Parts that can be the secret itself are replaced
/// by `***`.
fn keys_of(text: &str) -> String {
    let shown = |part: &str| match part.split_once('=') {
        Some(("id" | "src" | "source" | "env" | "type", _)) => part.to_owned(),
        Some(("value", _)) => "value=***".to_owned(),
        _ => "***".to_owned(),
    };
    text.split(',').map(shown).collect::<Vec<_>>().join(",")
}

/// Reads all secrets of a command line. Relative paths are relative to `cwd`. Fails if the syntax
/// is wrong, a name is used twice, or a source cannot be read.
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
    reason = "the caller adds the path and the name of the secret to the error"
)]
fn read_file(path: &Path) -> Result<Vec<u8>, (PathBuf, std::io::Error)> {
    std::fs::read(path).map_err(|error| (path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_or_a_variable() {
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
            assert!(parse(bad).is_err(), "{bad:?} was accepted");
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
            "cannot read the secret `a`: the environment variable W is not set"
        );
    }
}
