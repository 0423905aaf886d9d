//! The `FROM` lines of Dockerfiles.

use super::{EditablePart, EditableText, ImageUse, parsed};
use crate::dockerfile::{Dockerfile, Instruction, Keyword, StageBase, parse, stages};

pub(super) fn images(text: &str) -> Result<Vec<ImageUse>, String> {
    let dockerfile = parse(text).map_err(|error| error.to_string())?;
    let (_, stages) = stages(&dockerfile, &std::collections::BTreeMap::new())
        .map_err(|error| error.to_string())?;
    let written: Vec<&str> = stages.iter().map(|one| one.from.written.as_str()).collect();
    let mut found = Vec::new();
    for stage in &stages {
        let from = &stage.from;
        let image = match &from.source {
            StageBase::Scratch | StageBase::Stage(_) => continue,
            StageBase::Image(name) => parsed(name),
            StageBase::Unknown(error) => Err(error.to_string()),
        };
        let editable = if from.written.contains('$') {
            argument(&dockerfile, &from.written, &written)
        } else {
            Some(EditableText {
                position: from.position.clone(),
                part: EditablePart::Reference,
            })
        };
        found.push(ImageUse {
            editable: editable.filter(|one| text.get(one.position.clone()).is_some()),
            position: from.position.clone(),
            image,
        });
    }
    Ok(found)
}

/// The default of the build argument that ends a base, such as `${VERSION}` in `debian:${VERSION}`.
/// `None` if anything else uses it too, or if other text follows it.
fn argument(dockerfile: &Dockerfile, written: &str, all: &[&str]) -> Option<EditableText> {
    let (before, name) = match written.strip_suffix('}') {
        Some(rest) => rest.rsplit_once("${")?,
        None => written.rsplit_once('$')?,
    };
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    // Only the end of the reference, or all of it, may be variable.
    let part = match before {
        "" => EditablePart::Reference,
        before if before.ends_with(':') && !before.contains('$') => EditablePart::Tag,
        _ => return None,
    };
    if !is_name(name) {
        return None;
    }
    let uses = all.iter().filter(|base| mentions(base, name)).count();
    // A second default would win, and an `ARG` after `FROM` takes over the value.
    let declares = |one: &&Instruction| {
        let declared = one.build_arguments(dockerfile.escape);
        one.keyword == Keyword::Arg && declared.iter().any(|(declared, _)| declared == name)
    };
    let mut declared = dockerfile.instructions.iter().filter(declares);
    let first = declared.next()?;
    if uses != 1 || declared.next().is_some() || is_used_elsewhere(dockerfile, name) {
        return None;
    }
    let start = format!("{name}=");
    let value = first.arguments.strip_prefix(&start)?;
    let is_plain = !value.contains(['$', '"', '\'', '\\', '`', ' ', '\t'])
        && (part == EditablePart::Reference || !value.contains('/'));
    is_plain.then(|| EditableText {
        position: first.position(start.len()..first.arguments.len()),
        part,
    })
}

/// True if another build argument before `FROM`, or the platform of a base, uses a variable.
fn is_used_elsewhere(dockerfile: &Dockerfile, name: &str) -> bool {
    let mut instructions = dockerfile.instructions.iter();
    instructions.any(|one| match one.keyword {
        Keyword::Arg => mentions(&one.arguments, name),
        Keyword::From => one
            .flag("platform")
            .is_some_and(|platform| mentions(platform, name)),
        _ => false,
    })
}

/// True if a base uses a variable.
fn mentions(base: &str, name: &str) -> bool {
    base.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| {
            !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        })
    })
}
