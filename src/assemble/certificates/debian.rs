//! Debian's `update-ca-certificates`: the bundle is written anew from `/etc/ca-certificates.conf` and the local
//! certificates, every one gets a link by name, and `openssl rehash` those by subject hash.

use super::super::overlay::Overlay;
use super::super::tree::TreeNode;
use super::super::{AssembleStop, Error};
use super::rehash::{Rehash, rehash};
use super::{CONF, HOOKS, LOCAL, SHARED, STORE, TOOL, append, file, hooks, link, needs};
use crate::resolve::image::Certificate;

/// Places the certificates and does what the tool would do.
pub(super) fn place(
    certificates: &[Certificate],
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    // Any layer may have some of its own, so all are read; asked for first, they are read side by side.
    overlay.list(LOCAL)?;
    check_tool(overlay)?;
    let conf = overlay
        .read(CONF)?
        .ok_or_else(|| needs("the base has no /etc/ca-certificates.conf"))?;
    if conf.is_empty() {
        return Err(needs(
            "update-ca-certificates, which clears the store where its configuration is empty,",
        )
        .into());
    }
    for certificate in certificates {
        overlay.place(file(
            &format!("{LOCAL}/{}", certificate.name),
            certificate.pem.clone().into_bytes(),
        ))?;
    }
    let store = overlay.resolve(STORE)?;
    if matches!(
        overlay.entry(&format!("{store}/ca-certificates.crt"))?,
        Some(TreeNode::Symlink(_))
    ) {
        // What a link leads to has them too: they are appended before the tool puts its bundle in the link's place.
        super::bundle::append(
            certificates,
            &format!("{store}/ca-certificates.crt"),
            overlay,
        )?;
    }
    let (mut bundle, mut changed) = (Vec::new(), false);
    let conf = String::from_utf8_lossy(&conf).into_owned();
    for name in lines(&conf).filter_map(|line| line.strip_prefix('!')) {
        changed |= remove(overlay, &store, read(name))?;
    }
    for name in lines(&conf)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(read)
    {
        let path = format!("{SHARED}/{name}");
        if overlay.is_file(&path)? {
            changed |= add(overlay, &store, &path, &mut bundle)?;
        }
    }
    for path in local(overlay, LOCAL, 0, &mut 0)? {
        changed |= add(overlay, &store, &path, &mut bundle)?;
    }
    if changed {
        rehash(overlay, &store, Rehash::OpenSsl)?;
    }
    overlay.place(file(&format!("{store}/ca-certificates.crt"), bundle))
}

/// The lines of a file as a shell takes them one after the other: what no newline ends is none.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
}

/// What the shell's `read` makes of a line.
fn read(line: &str) -> &str {
    line.trim_matches([' ', '\t'])
}

/// Refuses what only the real tool can do: no tool, one that links in another way, hooks.
fn check_tool(overlay: &Overlay<'_>) -> Result<(), AssembleStop> {
    let Some(tool) = overlay.read(TOOL)? else {
        return Err(
            needs("the base has no update-ca-certificates (package ca-certificates)").into(),
        );
    };
    let tool = String::from_utf8_lossy(&tool);
    if tool.contains("c_rehash") || !tool.contains("LOCALCERTSDIR") {
        return Err(needs("the base's update-ca-certificates is not one that golden knows").into());
    }
    if !overlay.is_file("usr/bin/openssl")? {
        return Err(needs("the base has no openssl, which update-ca-certificates calls").into());
    }
    match hooks(overlay)?.first() {
        Some(name) => Err(needs(&format!("the base's hook /{HOOKS}/{name}")).into()),
        None => Ok(()),
    }
}

/// The number of directories that are looked into for local certificates. Links make as many of them as they like.
const DIRECTORIES: u32 = 1024;

/// The local certificates below a directory, links followed, as `find -L | sort` lists them.
fn local(
    overlay: &Overlay<'_>,
    folder: &str,
    depth: u32,
    visited: &mut u32,
) -> Result<Vec<String>, AssembleStop> {
    *visited += 1;
    if depth > 32 || *visited > DIRECTORIES {
        return Err(Error::LinkLoop(format!("/{folder}")).into());
    }
    let mut found = Vec::new();
    for name in overlay.list(folder)? {
        let path = format!("{folder}/{name}");
        match overlay.entry(&overlay.resolve(&path)?)? {
            Some(TreeNode::Directory(_) | TreeNode::Implied) => {
                found.extend(local(overlay, &path, depth + 1, visited)?);
            }
            Some(TreeNode::File { .. }) if name.strip_suffix(".crt").is_some() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// The tool's `add`: the link by name, and the certificate at the end of the bundle. Whether the link is new.
fn add(
    overlay: &mut Overlay<'_>,
    store: &str,
    path: &str,
    bundle: &mut Vec<u8>,
) -> Result<bool, AssembleStop> {
    let name = base_name(path)
        .replace(' ', "_")
        .replace(['(', ')'], "=")
        .replace(',', "_");
    let (pem, target) = (format!("{store}/{name}.pem"), format!("/{path}"));
    let same = matches!(overlay.entry(&pem)?, Some(TreeNode::Symlink(there)) if *there == target);
    if !same {
        overlay.place(link(&pem, &target))?;
    }
    let content = overlay.read(path)?.unwrap_or_else(|| Vec::new().into());
    append(bundle, &content)?;
    if content.last().is_some_and(|byte| *byte != b'\n') {
        append(bundle, b"\n")?;
    }
    Ok(!same)
}

/// The tool's `remove`. Whether there was a link.
fn remove(overlay: &mut Overlay<'_>, store: &str, name: &str) -> Result<bool, AssembleStop> {
    let pem = format!("{store}/{}.pem", base_name(name));
    let there = matches!(overlay.entry(&pem)?, Some(TreeNode::Symlink(_)));
    if there {
        overlay.remove(&pem)?;
    }
    Ok(there)
}

/// `basename PATH .crt`.
fn base_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".crt")
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}
