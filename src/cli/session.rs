//! Opens the workspace of a command and shows the findings about it.

use super::context::{ArgumentHint, Context};
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use crate::app::destinations::Destinations;
use crate::app::names::WorkspaceNames;
use crate::app::session::{check, check_with_any_lock};
use crate::app::{CheckedWorkspace, CommandScope, Session};
use crate::diagnostic::{Class, Diagnostics, SourceMap};
use crate::reference::Reference;
use crate::report::{self, OutputFormat};
use crate::workspace::Workspace;

/// Opens the workspace and shows the findings. Fails with exit 2 or 3 if a finding is an error.
pub async fn open(context: &Context, selection: SelectionArgs) -> Result<Session, Failure> {
    let checked = check(selection.settings(context)?).await?;
    show(context, &checked.found, &checked.sources)?;
    checked.session.ok_or(Failure::shown(Exit::Usage))
}

/// Opens the workspace for a command on bases. Fails if a spec is invalid. Policy violations are
/// ignored: an unlocked base may be the reason for the command. golden.lock may have two digests of
/// one reference.
pub async fn open_for_bases(context: &Context, set: Vec<String>) -> Result<Session, Failure> {
    let selection = SelectionArgs::of(Vec::new(), set);
    let checked = check_with_any_lock(selection.settings(context)?).await?;
    if let Some(session) = checked.session {
        return Ok(session);
    }
    show(context, &checked.found, &checked.sources)?;
    Err(Failure::shown(Exit::Usage))
}

/// Opens the workspace for a command that reports the findings itself. The time is that of
/// `SOURCE_DATE_EPOCH`, if it is set. Fails if a spec is invalid.
pub async fn open_with_findings(
    context: &Context,
    images: Vec<String>,
) -> Result<(Session, Diagnostics), Failure> {
    let mut settings = SelectionArgs::of(images, Vec::new()).settings(context)?;
    settings.now = settings.epoch()?.unwrap_or(settings.now);
    let checked = check(settings).await?;
    if checked.found.worst() == Some(Class::Spec) {
        show(context, &checked.found, &checked.sources)?;
    }
    report::send_findings(&context.events, &checked.found, &checked.sources);
    let session = checked.session.ok_or(Failure::shown(Exit::Usage))?;
    Ok((session, checked.found))
}

/// Opens the workspace without its images. `None` if there is no workspace. Fails if golden.toml or
/// golden.lock is invalid.
pub async fn workspace(context: &Context) -> Result<Option<Workspace>, Failure> {
    let Some(checked) = CheckedWorkspace::read(&context.settings()).await? else {
        return Ok(None);
    };
    show(context, &checked.found, &checked.sources)?;
    Ok(Some(checked.workspace()?))
}

/// The scope of a command with these arguments, each a reference or the name of a workspace image.
/// Fails as [`destinations`] and [`names`] do.
pub async fn scope(context: &Context, arguments: &[String]) -> Result<CommandScope, Failure> {
    let workspace = workspace(context).await?;
    let destinations = destinations_of(context, workspace.as_ref())?;
    Ok(CommandScope {
        names: names(context, &destinations, arguments).await?,
        settings: context.settings(),
        workspace,
        destinations,
    })
}

/// The registries of a command that needs no images. The workspace is optional. Fails if
/// golden.toml is invalid, or if a name is unknown.
pub async fn destinations(context: &Context) -> Result<Destinations, Failure> {
    let workspace = workspace(context).await?;
    destinations_of(context, workspace.as_ref())
}

/// The registries of a command that has read the workspace. Fails if a name is unknown.
pub fn destinations_of(
    context: &Context,
    workspace: Option<&Workspace>,
) -> Result<Destinations, Failure> {
    Ok(Destinations::of(&context.settings(), workspace)?)
}

/// The names of the workspace images, for arguments that are references or such names. Fails if an
/// argument may be the name of an image whose spec is invalid.
pub async fn names(
    context: &Context,
    destinations: &Destinations,
    arguments: &[String],
) -> Result<WorkspaceNames, Failure> {
    let names = WorkspaceNames::read(&context.settings(), destinations, arguments).await?;
    if names.found.has_errors() && arguments.iter().any(|argument| names.may_have(argument)) {
        show(context, &names.found, &names.sources)?;
    }
    let hints = arguments.iter().filter_map(|argument| {
        let reference: Reference = argument.parse().ok()?;
        Some(ArgumentHint {
            text: names.not_an_image(argument)?,
            path: reference.repository.path.to_string(),
        })
    });
    context.later_hints.extend(hints);
    Ok(names)
}

/// Shows findings as text. Fails if a finding is an error.
pub fn show(context: &Context, found: &Diagnostics, sources: &SourceMap) -> Result<(), Failure> {
    report::send_findings(&context.events, found, sources);
    if !found.is_empty() {
        report::diagnostics(&context.out, OutputFormat::Text, found, sources);
    }
    exit_of(found).map_or(Ok(()), |exit| Err(Failure::shown(exit)))
}

/// The exit code for findings; `None` if none is an error.
#[must_use]
pub fn exit_of(found: &Diagnostics) -> Option<Exit> {
    found.worst().map(|class| match class {
        Class::Spec => Exit::Usage,
        Class::Policy => Exit::Policy,
    })
}
