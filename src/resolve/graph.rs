//! The graph of images: finds parents, refuses cycles and puts images in build order.

use std::collections::BTreeMap;

use super::family;
use super::image::{Base, Family, FamilySource};
use super::parsed::{OrderedImage, ParsedImage};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::RepositoryPath;
use crate::suggest::closest;
use crate::tags::{Variant, precedence};

/// Finds each image's parent, and returns the images with parents first. `complete` is true if
/// every file could be read; otherwise missing parents are not reported.
#[must_use]
pub fn ordered(
    images: Vec<ParsedImage>,
    complete: bool,
    found: &mut Diagnostics,
) -> Vec<OrderedImage> {
    let mut by_name: BTreeMap<&RepositoryPath, Vec<usize>> = BTreeMap::new();
    for (n, image) in images.iter().enumerate() {
        by_name.entry(&image.name).or_default().push(n);
    }
    let parents: Vec<Option<usize>> = (0..images.len())
        .map(|child| parent(&images, &by_name, child, complete, found))
        .collect();
    let mut order = order(&parents);
    if order.len() < images.len() {
        report_cycles(&images, &parents, found);
        order = (0..images.len()).collect();
    } else {
        check_families(&images, &parents, &order, found);
    }
    let mut ranks = vec![0; order.len()];
    for (rank, position) in order.iter().enumerate() {
        ranks[*position] = rank;
    }
    let ordered: BTreeMap<usize, OrderedImage> = images
        .into_iter()
        .zip(parents)
        .zip(&ranks)
        .map(|((parsed, parent), rank)| {
            let parent = parent.map(|parent| ranks[parent]);
            (*rank, OrderedImage { parsed, parent })
        })
        .collect();
    ordered.into_values().collect()
}

/// Reports images with packages whose family has no package manager.
fn check_families(
    images: &[ParsedImage],
    parents: &[Option<usize>],
    order: &[usize],
    found: &mut Diagnostics,
) {
    let mut families = BTreeMap::new();
    for child in order {
        let image = &images[*child];
        let inherited = parents[*child].and_then(|parent| families.get(&parent).copied());
        let family = family::inherited(image.family, inherited);
        families.insert(*child, family);
        if !image.packages.is_empty() && family == (Family::Static, FamilySource::Spec) {
            let message = "a base of the family static has no package manager";
            let mut diagnostic = Diagnostic::error("spec.family", message);
            if let Some(location) = &image.locations.packages {
                diagnostic = diagnostic.at(&location.file, location.span.clone(), "");
            }
            found.push(diagnostic.help("choose another base, or set `family` in [image]"));
        }
    }
}

/// The position of the parent of `child`.
fn parent(
    images: &[ParsedImage],
    by_name: &BTreeMap<&RepositoryPath, Vec<usize>>,
    child: usize,
    complete: bool,
    found: &mut Diagnostics,
) -> Option<usize> {
    let image = &images[child];
    let Base::Workspace {
        name,
        requirement,
        variant,
    } = &image.base
    else {
        return None;
    };
    let named = by_name.get(name).map(Vec::as_slice).unwrap_or_default();
    let is_admitted = |n: &&usize| {
        requirement
            .as_ref()
            .is_none_or(|requirement| requirement.matches(&images[**n].version))
    };
    let matching: Vec<usize> = named.iter().filter(is_admitted).copied().collect();
    let highest = |variant: Option<&Variant>| {
        let same = matching
            .iter()
            .filter(|n| images[**n].variant.as_ref() == variant);
        same.copied()
            .max_by(|a, b| precedence(&images[*a].version, &images[*b].version))
    };
    let chosen = match variant {
        Some(variant) => highest(variant.0.as_ref()),
        None => highest(image.variant.as_ref())
            .or_else(|| highest(None))
            .or_else(|| {
                let only = images[*matching.first()?].variant.as_ref();
                matching
                    .iter()
                    .all(|n| images[*n].variant.as_ref() == only)
                    .then(|| highest(only))?
            }),
    };
    if chosen.is_none() && complete {
        found.push(no_parent(images, image, named, &matching));
    }
    chosen
}

fn no_parent(
    images: &[ParsedImage],
    image: &ParsedImage,
    named: &[usize],
    matching: &[usize],
) -> Diagnostic {
    let Base::Workspace {
        name, requirement, ..
    } = &image.base
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
            images.iter().map(|image| image.name.as_str()),
        );
        let help = similar.map(|similar| format!("did you mean `{similar}`?"));
        (
            format!("no image of this workspace is called `{name}`"),
            help,
        )
    } else {
        let shown: Vec<String> = named.iter().map(|n| images[*n].display()).collect();
        let what = if matching.is_empty() {
            format!("no version of `{name}` satisfies `{requirement}`")
        } else {
            format!("the variant of `{name}` is ambiguous")
        };
        (what, Some(format!("available: {}", shown.join(", "))))
    };
    let location = &image.requests.base_location;
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

fn report_cycles(images: &[ParsedImage], parents: &[Option<usize>], found: &mut Diagnostics) {
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
        let mut names: Vec<String> = cycle.iter().map(|n| images[*n].display()).collect();
        names.push(names[0].clone());
        let message = format!(
            "the bases of these images form a cycle: {}",
            names.join(" → ")
        );
        let mut diagnostic = Diagnostic::error("spec.cycle", message);
        for node in cycle {
            let location = &images[*node].requests.base_location;
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
