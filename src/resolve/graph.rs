//! The graph of images: finds parents, refuses cycles and puts images in build order.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::image::{Base, Family, FamilySource};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::RepositoryPath;
use crate::suggest::closest;
use crate::tags::{Variant, precedence};

/// Finds each image's parent, copies family and variant from it, and returns the images with
/// parents first. `complete` is true if every file could be read; otherwise missing parents are not
/// reported.
#[must_use]
pub fn ordered(mut drafts: Vec<Draft>, complete: bool, found: &mut Diagnostics) -> Vec<Draft> {
    let mut by_name: BTreeMap<&RepositoryPath, Vec<usize>> = BTreeMap::new();
    for (n, draft) in drafts.iter().enumerate() {
        by_name.entry(&draft.image.name).or_default().push(n);
    }
    let parents: Vec<Option<usize>> = (0..drafts.len())
        .map(|child| parent(&drafts, &by_name, child, complete, found))
        .collect();
    let order = order(&parents);
    if order.len() < drafts.len() {
        report_cycles(&drafts, &parents, found);
        return drafts;
    }
    for child in &order {
        let inherited = parents[*child].map(|parent| {
            let parent = &drafts[parent].image;
            (
                (parent.family, parent.family_source),
                parent.variant.clone(),
            )
        });
        inherit_from_parent(&mut drafts[*child], inherited.as_ref(), found);
    }
    let mut slots: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|position| slots[position].take())
        .collect()
}

/// Fills in the settings that depend on the parent: the family, the template and the variant of the
/// base.
fn inherit_from_parent(
    draft: &mut Draft,
    parent: Option<&((Family, FamilySource), Option<Variant>)>,
    found: &mut Diagnostics,
) {
    if let (Some((_, parents)), Base::Workspace { variant, .. }) = (parent, &mut draft.image.base) {
        variant.clone_from(parents);
    }
    let family = draft.family.or(parent.map(|(family, _)| *family));
    let (family, source) = family.unwrap_or((Family::Static, FamilySource::Unknown));
    if draft.image.has_packages() && family == Family::Static && source == FamilySource::Spec {
        let message = "a base of the family static has no package manager";
        found.push(
            Diagnostic::error("spec.family", message)
                .at(
                    &draft.packages_location.file,
                    draft.packages_location.span.clone(),
                    "",
                )
                .help("choose another base, or set `family` in [image]"),
        );
    }
    draft.image.family = family;
    draft.image.family_source = source;
    draft.image.template_written = draft.template.is_some();
    draft.image.template = draft
        .template
        .clone()
        .unwrap_or_else(|| family.as_str().to_owned());
}

/// The position of the parent of `child`.
fn parent(
    drafts: &[Draft],
    by_name: &BTreeMap<&RepositoryPath, Vec<usize>>,
    child: usize,
    complete: bool,
    found: &mut Diagnostics,
) -> Option<usize> {
    let draft = &drafts[child];
    let Base::Workspace {
        name, requirement, ..
    } = &draft.image.base
    else {
        return None;
    };
    let named = by_name.get(name).map(Vec::as_slice).unwrap_or_default();
    let is_admitted = |n: &&usize| {
        requirement
            .as_ref()
            .is_none_or(|requirement| requirement.matches(&drafts[**n].image.version))
    };
    let matching: Vec<usize> = named.iter().filter(is_admitted).copied().collect();
    let highest = |variant: Option<&Variant>| {
        let same = matching
            .iter()
            .filter(|n| drafts[**n].image.variant.as_ref() == variant);
        same.copied()
            .max_by(|a, b| precedence(&drafts[*a].image.version, &drafts[*b].image.version))
    };
    let chosen = match &draft.base_variant {
        Some(variant) => highest(variant.0.as_ref()),
        None => highest(draft.image.variant.as_ref())
            .or_else(|| highest(None))
            .or_else(|| {
                let only = drafts[*matching.first()?].image.variant.as_ref();
                matching
                    .iter()
                    .all(|n| drafts[*n].image.variant.as_ref() == only)
                    .then(|| highest(only))?
            }),
    };
    if chosen.is_none() && complete {
        found.push(no_parent(drafts, draft, named, &matching));
    }
    chosen
}

fn no_parent(drafts: &[Draft], draft: &Draft, named: &[usize], matching: &[usize]) -> Diagnostic {
    let Base::Workspace {
        name, requirement, ..
    } = &draft.image.base
    else {
        unreachable!("only a workspace base has a parent")
    };
    let requirement = requirement
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let (message, help) = if named.is_empty() {
        let similar = closest(
            name.as_str(),
            drafts.iter().map(|draft| draft.image.name.as_str()),
        );
        let help = similar.map(|similar| format!("did you mean `{similar}`?"));
        (
            format!("no image of this workspace is called `{name}`"),
            help,
        )
    } else {
        let shown: Vec<String> = named.iter().map(|n| drafts[*n].image.display()).collect();
        let what = if matching.is_empty() {
            format!("no version of `{name}` satisfies `{requirement}`")
        } else {
            format!("the variant of `{name}` is ambiguous")
        };
        (what, Some(format!("available: {}", shown.join(", "))))
    };
    let location = &draft.base_location;
    let mut diagnostic =
        Diagnostic::error("spec.base", message).at(&location.file, location.span.clone(), "");
    diagnostic.help = help;
    diagnostic
}

/// The positions with parents first, otherwise in their original order. Images of a cycle, and
/// images built on them, are left out.
fn order(parents: &[Option<usize>]) -> Vec<usize> {
    let mut depth: Vec<Option<usize>> = vec![None; parents.len()];
    for start in 0..parents.len() {
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(node) =
            at.filter(|node| depth[*node].is_none() && chain.len() <= parents.len())
        {
            chain.push(node);
            at = parents[node];
        }
        if chain.len() > parents.len() {
            continue;
        }
        let first = at.and_then(|node| depth[node]).map_or(0, |above| above + 1);
        for (level, node) in (first..).zip(chain.into_iter().rev()) {
            depth[node] = Some(level);
        }
    }
    let mut order: Vec<usize> = (0..parents.len()).filter(|n| depth[*n].is_some()).collect();
    order.sort_by_key(|n| (depth[*n], *n));
    order
}

fn report_cycles(drafts: &[Draft], parents: &[Option<usize>], found: &mut Diagnostics) {
    let mut seen = vec![false; parents.len()];
    for start in 0..parents.len() {
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(node) = at.filter(|node| !seen[*node]) {
            seen[node] = true;
            chain.push(node);
            at = parents[node];
        }
        let Some(cycle) = at
            .and_then(|node| chain.iter().position(|n| *n == node))
            .map(|from| &chain[from..])
        else {
            continue;
        };
        let mut names: Vec<String> = cycle.iter().map(|n| drafts[*n].image.display()).collect();
        names.push(names[0].clone());
        let message = format!(
            "the bases of these images form a cycle: {}",
            names.join(" → ")
        );
        let mut diagnostic = Diagnostic::error("spec.cycle", message);
        for node in cycle {
            let location = &drafts[*node].base_location;
            diagnostic = diagnostic.at(&location.file, location.span.clone(), "");
        }
        found.push(diagnostic.help("build one of them on an image of a registry, or on scratch"));
    }
}

/// Groups the images into waves: images of one wave are built only on images of earlier waves.
/// `parents[n]` is the position of the parent of `n`, and is less than `n`.
#[must_use]
pub fn waves(parents: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (node, parent) in parents.iter().enumerate() {
        let depth = parent
            .and_then(|parent| depths.get(&parent))
            .map_or(0, |above| above + 1);
        depths.insert(node, depth);
        if waves.len() <= depth {
            waves.resize_with(depth + 1, Vec::new);
        }
        waves[depth].push(node);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first() {
        assert_eq!(order(&[Some(1), Some(2), None, None]), [2, 3, 1, 0]);
        assert_eq!(order(&[Some(1), Some(0), None]), [2]);
        assert_eq!(order(&[Some(0)]), [0_usize; 0]);
        assert_eq!(
            waves(&[None, None, Some(0), Some(2), Some(1)]),
            [vec![0, 1], vec![2, 4], vec![3]]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_acyclic_graph_is_ordered(above in proptest::collection::vec(0_usize..20, 1..20)) {
            let parents: Vec<Option<usize>> =
                above.iter().enumerate().map(|(n, p)| (*p < n).then_some(*p)).collect();
            let order = order(&parents);
            proptest::prop_assert_eq!(order.len(), parents.len());
            let position = |n: usize| order.iter().position(|m| *m == n);
            for (node, parent) in parents.iter().enumerate() {
                proptest::prop_assert!(parent.is_none_or(|parent| position(parent) < position(node)));
            }
        }
    }
}
