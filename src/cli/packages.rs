//! The `--packages` variants of `golden outdated` and `golden update`.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::Session;
use crate::app::bump::{Bumped, NextVersion};
use crate::app::package_updates::{self, PackageReport};
use crate::report::{self, OutputFormat};
use crate::workspace::lock::FILE;

/// Lists packages that have a newer version.
pub(super) async fn outdated(session: &Session, context: &Context) -> Result<Exit, Failure> {
    let found = package_updates::outdated(session).await?;
    show(&found, context);
    Ok(match found.unchecked.is_empty() {
        false => Exit::Failed,
        true if found.images.iter().all(|image| image.updates.is_empty()) => Exit::Done,
        true => Exit::Difference,
    })
}

/// Records newer versions of packages in golden.lock. Writes nothing if an image could not be
/// compared.
pub(super) async fn update(
    session: &Session,
    bump: Option<&NextVersion>,
    context: &Context,
) -> Result<Exit, Failure> {
    let found = package_updates::outdated(session).await?;
    if found.unchecked.is_empty() {
        let mut lock = session.workspace.lock.clone();
        lock.packages = package_updates::recorded(&found, &lock.packages);
        lock.write(&session.workspace.root)?;
        if let Some(next) = bump {
            for image in package_updates::bump(session, &found, next)? {
                let Bumped {
                    image, from, to, ..
                } = image;
                context.out.message(&format!("{image}: {from} → {to}"));
            }
        }
    }
    show(&found, context);
    if found.unchecked.is_empty() {
        Ok(Exit::Done)
    } else {
        context.out.message(&format!("{FILE} is unchanged"));
        Err(Failure::shown(Exit::Failed))
    }
}

fn show(found: &PackageReport, context: &Context) {
    match context.format {
        OutputFormat::Json => context.out.json(found),
        _ => report::packages(&context.out, found),
    }
}
