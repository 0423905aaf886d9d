//! Reproduces Alpine's `update-ca-certificates`, a program of its own: it writes the bundle again
//! from `/etc/ca-certificates.conf` and the local certificates, and creates a link by name for
//! every certificate. The hook `certhash` calls `c_rehash`, which creates the links by subject
//! hash.
//!
//! The program uses the order in which `readdir` returns the files of a directory, which an image
//! does not record. Every order is a possible result of the program; golden uses the order of the
//! names.

use std::collections::BTreeMap;

use super::super::AssembleStop;
use super::super::overlay::Overlay;
use super::super::tree::TreeNode;
use super::rehash::{Rehash, rehash};
use super::{CONF, HOOKS, LOCAL, SHARED, STORE, TOOL, append, file, hooks, link, needs};
use crate::resolve::image::Certificate;

const REHASH: &str = "usr/bin/c_rehash";
/// Strings that every version of the program contains.
const WORDS: &[&str] = &[
    "ca-cert-",
    "/usr/local/share/ca-certificates/",
    "/etc/ca-certificates/update.d/",
    "run-parts",
];

/// Places the certificates and produces the files that the tool would produce.
pub(super) fn place(
    certificates: &[Certificate],
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    // Every layer may contain local certificates, so all layers are needed. Requesting them first
    // lets the caller read them in parallel.
    overlay.list(LOCAL)?;
    check_tool(overlay)?;
    let rehashed = check_hooks(overlay)?;
    let shared = shared(overlay)?;
    let store = overlay.resolve(STORE)?;
    let separator = separator(overlay, &shared)?;
    for certificate in certificates {
        overlay.place(file(
            &format!("{LOCAL}/{}", certificate.name),
            certificate.pem.clone().into_bytes(),
        ))?;
    }
    let (mut bundle, mut links) = (Vec::new(), BTreeMap::new());
    for path in shared.into_iter().chain(local(overlay)?) {
        append(&mut bundle, &content(overlay, &path)?)?;
        append(&mut bundle, separator)?;
        // If several certificates have the same link name, the last one takes it.
        links.insert(link_name(&path), format!("/{path}"));
    }
    update_links(overlay, &store, &links)?;
    // As in the tool, the new bundle replaces the old one, even if that is a link.
    overlay.place(file(&format!("{store}/ca-certificates.crt"), bundle))?;
    if rehashed {
        rehash(overlay, &store, Rehash::Alpine)
    } else {
        Ok(())
    }
}

/// Refuses a base that does not contain the program, or contains another program of that name.
fn check_tool(overlay: &Overlay<'_>) -> Result<(), AssembleStop> {
    let Some(tool) = overlay.read(TOOL)? else {
        return Err(
            needs("the base has no update-ca-certificates (package ca-certificates)").into(),
        );
    };
    let tool = String::from_utf8_lossy(&tool);
    if WORDS.iter().all(|word| tool.contains(word)) {
        Ok(())
    } else {
        Err(needs("golden does not know the base's version of update-ca-certificates").into())
    }
}

/// Returns true if the base has the hook that creates the links by hash. Refuses any other hook,
/// because only the tool can run it.
fn check_hooks(overlay: &Overlay<'_>) -> Result<bool, AssembleStop> {
    let run_parts =
        ["usr/bin/run-parts", "bin/run-parts"].map(|path| overlay.entry(&overlay.resolve(path)?));
    if !run_parts
        .into_iter()
        .collect::<Result<Vec<_>, AssembleStop>>()?
        .iter()
        .any(Option::is_some)
    {
        return Err(needs("the base has no run-parts, which update-ca-certificates calls").into());
    }
    let mut rehashed = false;
    for name in hooks(overlay)? {
        let text = content(overlay, &format!("{HOOKS}/{name}"))?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let plain = matches!(
            (lines.next(), lines.next()),
            (
                Some("exec /usr/bin/c_rehash /etc/ssl/certs" | "/usr/bin/c_rehash /etc/ssl/certs"),
                None
            )
        );
        if !plain {
            return Err(needs(&format!("the base has the hook /{HOOKS}/{name}")).into());
        }
        rehashed = true;
    }
    if rehashed && !overlay.is_file(REHASH)? {
        return Err(needs("the base has no c_rehash, which update-ca-certificates calls").into());
    }
    Ok(rehashed)
}

/// The certificates that the configuration lists, whether or not they exist.
fn shared(overlay: &Overlay<'_>) -> Result<Vec<String>, AssembleStop> {
    let conf = overlay.read(CONF)?.unwrap_or_else(|| Vec::new().into());
    let conf = String::from_utf8_lossy(&conf);
    let listed = conf
        .split_terminator('\n')
        .filter(|line| !line.starts_with(['#', '!']));
    Ok(listed.map(|line| format!("{SHARED}/{line}")).collect())
}

/// The separator that the base's version of the program writes after each certificate: a newline,
/// or nothing in versions before 2020. The existing bundle shows it. If the program did not write
/// that bundle, the separator is unknown.
fn separator(overlay: &Overlay<'_>, shared: &[String]) -> Result<&'static [u8], AssembleStop> {
    let bundle = overlay
        .read(&format!("{STORE}/ca-certificates.crt"))?
        .unwrap_or_else(|| Vec::new().into());
    for separator in [&b"\n"[..], b""] {
        let mut expected = Vec::new();
        for path in shared {
            append(&mut expected, &content(overlay, path)?)?;
            append(&mut expected, separator)?;
        }
        if !expected.is_empty() && bundle.starts_with(&expected) {
            return Ok(separator);
        }
    }
    let what = "the base's /etc/ssl/certs/ca-certificates.crt does not begin with the certificates of \
                /etc/ca-certificates.conf, so that its update-ca-certificates did not write it";
    Err(needs(what).into())
}

/// The local certificates: all files directly in the directory, except hidden ones.
fn local(overlay: &Overlay<'_>) -> Result<Vec<String>, AssembleStop> {
    let names = overlay
        .list(LOCAL)?
        .into_iter()
        .filter(|name| !name.starts_with('.'));
    Ok(names.map(|name| format!("{LOCAL}/{name}")).collect())
}

/// The bytes of a file; empty if the path is a directory or does not exist.
fn content(overlay: &Overlay<'_>, path: &str) -> Result<crate::oci::Bytes, AssembleStop> {
    Ok(overlay.read(path)?.unwrap_or_else(|| Vec::new().into()))
}

/// The name of the link to a certificate.
fn link_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name
        .strip_suffix(".crt")
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name);
    format!(
        "ca-cert-{}.pem",
        stem.replace([',', ' '], "_").replace(['(', ')'], "=")
    )
}

/// Creates the links by name and removes those of certificates that no longer exist. Files that are
/// not links are kept.
fn update_links(
    overlay: &mut Overlay<'_>,
    store: &str,
    links: &BTreeMap<String, String>,
) -> Result<(), AssembleStop> {
    for name in overlay
        .list(store)?
        .into_iter()
        .filter(|name| !name.starts_with('.'))
    {
        let path = format!("{store}/{name}");
        let Some(TreeNode::Symlink(target)) = overlay.entry(&path)? else {
            continue;
        };
        let ours = [SHARED, LOCAL]
            .iter()
            .any(|directory| target.starts_with(&format!("/{directory}/")));
        if ours && !links.contains_key(&name) {
            overlay.remove(&path)?;
        }
    }
    for (name, target) in links {
        let path = format!("{store}/{name}");
        match overlay.entry(&path)? {
            Some(TreeNode::Symlink(current)) if current == target => {}
            None | Some(TreeNode::Symlink(_)) => overlay.place(link(&path, target))?,
            Some(_) => {}
        }
    }
    Ok(())
}
