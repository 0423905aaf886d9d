//! The keys of a workspace: the one that signs, and those that are trusted.

use std::path::Path;

use super::error::Error;
use super::settings::Settings;
use crate::config_files::workspace::{SigningTable, TrustTable};
use crate::config_files::{KeySource, WorkspaceSpec};
use crate::glob::Glob;
use crate::reference::{Digest, Repository};
use crate::registry::Repo;
use crate::signing::{KeyReader, Signer, Signing};
use crate::trust::PublicKey;
use crate::trust::key::MOST_KEY_BYTES;
use crate::verify::{self, Difference};
use crate::workspace::{Workspace, fs};

/// Reads the signing key of a workspace; `None` if nothing is signed. Fails if the key or its
/// password is missing or wrong.
pub async fn of_workspace(
    settings: &Settings,
    root: &Path,
    table: &SigningTable,
) -> Result<Option<Signing>, Error> {
    let Some(key) = &table.key else {
        return Ok(None);
    };
    Ok(Some(Signing {
        signer: read(settings, root, key).await?,
        formats: table.formats(),
    }))
}

/// Reads a signing key; a relative path starts from `root`.
pub async fn read(settings: &Settings, root: &Path, key: &KeySource) -> Result<Signer, Error> {
    let reader = KeyReader {
        root,
        variables: &settings.env,
        ask: settings.ask_password,
    };
    Ok(reader.read(key).await?)
}

/// A trusted key, with the name of its signer.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// The name of the `[[trust]]` table, or the location of the key.
    pub name: String,
    /// The public key that verifies signatures.
    pub key: PublicKey,
}

/// A program that verifies bases, with the name of its `[[trust]]` table.
#[derive(Debug, Clone)]
pub struct TrustedProgram {
    /// The name of the table.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// The keys and programs of a workspace that are trusted, by the images that they are trusted for.
#[derive(Debug, Default)]
pub struct TrustedKeys {
    tables: Vec<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    images: Vec<Glob>,
    keys: Vec<TrustedKey>,
    program: Option<TrustedProgram>,
}

impl TrustedKeys {
    /// Reads the keys of all `[[trust]]` tables. Fails if a key cannot be read.
    pub fn of(root: &Path, spec: &WorkspaceSpec) -> Result<Self, Error> {
        let read = |table: &TrustTable| {
            let name = table.name.clone().unwrap_or_default();
            let keys = table.keys.iter().map(|path| {
                Ok(TrustedKey {
                    name: name.clone(),
                    key: public_key(&root.join(path))?,
                })
            });
            let keys = keys.collect::<Result<_, Error>>()?;
            let command = table.verify.clone();
            Ok(Trusted {
                images: globs(&table.images)?,
                keys,
                program: command.map(|command| TrustedProgram { name, command }),
            })
        };
        Ok(Self {
            tables: spec.trust.iter().map(read).collect::<Result<_, Error>>()?,
        })
    }

    /// The keys that are trusted for the images of a repository.
    #[must_use]
    pub fn for_repository(&self, repository: &Repository) -> Vec<TrustedKey> {
        let matching = self.matching(repository);
        matching.flat_map(|table| &table.keys).cloned().collect()
    }

    /// The keys that are trusted for the images of a repository, without their names.
    #[must_use]
    pub fn public_keys(&self, repository: &Repository) -> Vec<PublicKey> {
        let keys = self.matching(repository).flat_map(|table| &table.keys);
        keys.map(|one| one.key.clone()).collect()
    }

    /// The programs that may verify the images of a repository.
    pub fn programs(&self, repository: &Repository) -> impl Iterator<Item = &TrustedProgram> {
        self.matching(repository)
            .filter_map(|table| table.program.as_ref())
    }

    fn matching(&self, repository: &Repository) -> impl Iterator<Item = &Trusted> {
        let name = repository.to_string();
        let tables = self.tables.iter();
        tables.filter(move |table| table.images.iter().any(|glob| glob.is_match(&name)))
    }
}

fn globs(texts: &[String]) -> Result<Vec<Glob>, Error> {
    let globs = texts.iter().map(|text| Glob::new(text));
    globs.collect::<Result<_, _>>().map_err(Error::invalid)
}

/// Reads a file with a public key.
pub fn public_key(path: &Path) -> Result<PublicKey, Error> {
    let text = fs::read_up_to(path, MOST_KEY_BYTES)?;
    PublicKey::parse(&text).map_err(|error| {
        let message = format!("the public key {} cannot be used: {error}", path.display());
        let invalid = Error::invalid(message);
        match error.hint() {
            Some(hint) => invalid.hint(hint),
            None => invalid,
        }
    })
}

/// The keys whose statements about the images of a repository count: the key in the file `given` if
/// there is one, else those of the `[[trust]]` tables. Fails if a key cannot be read.
pub fn statement_keys(
    settings: &Settings,
    workspace: Option<&Workspace>,
    given: Option<&Path>,
    repository: &Repository,
) -> Result<Vec<TrustedKey>, Error> {
    if let Some(path) = given {
        return Ok(vec![given_key(settings, path)?]);
    }
    let Some(Workspace { root, spec, .. }) = workspace else {
        return Ok(Vec::new());
    };
    Ok(TrustedKeys::of(root, spec)?.for_repository(repository))
}

/// The key of `--key`.
fn given_key(settings: &Settings, path: &Path) -> Result<TrustedKey, Error> {
    Ok(TrustedKey {
        name: path.display().to_string(),
        key: public_key(&settings.cwd.join(path))?,
    })
}

/// Verifies the signatures of images with the keys of a workspace.
#[derive(Debug)]
pub struct SignatureVerifier {
    /// The key of `--key`; it replaces all others.
    given: Option<TrustedKey>,
    trusted: TrustedKeys,
    /// The public part of the signing key, for images that no `[[trust]]` table names.
    own: Option<TrustedKey>,
}

impl SignatureVerifier {
    /// Reads the keys: the file `given` if there is one, else those of the workspace. Fails if a key
    /// cannot be read.
    pub async fn of(
        settings: &Settings,
        workspace: Option<&Workspace>,
        given: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut verifier = Self {
            given: None,
            trusted: TrustedKeys::default(),
            own: None,
        };
        if let Some(path) = given {
            verifier.given = Some(given_key(settings, path)?);
        } else if let Some(Workspace { root, spec, .. }) = workspace {
            verifier.trusted = TrustedKeys::of(root, spec)?;
            if spec.trust.is_empty()
                && let Some(source) = &spec.signing.key
            {
                verifier.own = Some(TrustedKey {
                    name: source.to_string(),
                    key: read(settings, root, source).await?.public().clone(),
                });
            }
        }
        Ok(verifier)
    }

    /// The keys whose signatures count for a repository. Fails if there are none.
    fn keys(&self, repository: &Repository) -> Result<Vec<TrustedKey>, Error> {
        let keys: Vec<TrustedKey> = if let Some(given) = &self.given {
            vec![given.clone()]
        } else {
            let trusted = self.trusted.for_repository(repository);
            trusted.into_iter().chain(self.own.clone()).collect()
        };
        if keys.is_empty() {
            let message = format!("no key is trusted for the images of {repository}");
            return Err(Error::invalid(message)
                .hint("add a [[trust]] table for them to golden.toml, or use --key FILE"));
        }
        Ok(keys)
    }

    /// The name of the signer of a digest, or the difference if no trusted key signed it. Fails if
    /// no key is trusted for the repository, or the registry fails.
    pub async fn verdict(
        &self,
        repo: &Repo,
        digest: &Digest,
    ) -> Result<Result<String, Difference>, Error> {
        let keys = self.keys(repo.name())?;
        let public: Vec<PublicKey> = keys.iter().map(|one| one.key.clone()).collect();
        let verdict = verify::signature(repo, digest, &public).await?;
        Ok(verdict.map(|position| {
            let signer = keys.get(position);
            signer.map_or_else(String::new, |key| key.name.clone())
        }))
    }
}
