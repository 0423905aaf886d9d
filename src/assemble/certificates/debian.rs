//! Reproduces Debian's `update-ca-certificates`: it writes the bundle again from
//! `/etc/ca-certificates.conf` and the local certificates, and creates a link by name for every
//! certificate; `openssl rehash` creates those by subject hash.

use super::super::overlay::Overlay;
use super::super::tree::TreeNode;
use super::super::{AssembleStop, Error};
use super::rehash::{Rehash, rehash};
use super::{CONF, HOOKS, LOCAL, SHARED, STORE, TOOL, append, file, hooks, link, needs};
use crate::resolve::image::Certificate;

/// Places the certificates and produces the files that the tool would produce.
pub(super) fn place(
    certificates: &[Certificate],
    overlay: &mut Overlay<'_>,
) -> Result<(), AssembleStop> {
    // Every layer may contain local certificates, so all layers are needed. Requesting them first
    // lets the caller read them in parallel.
    overlay.list(LOCAL)?;
    check_tool(overlay)?;
    let conf = overlay
        .read(CONF)?
        .ok_or_else(|| needs("the base has no /etc/ca-certificates.conf"))?;
    if conf.is_empty() {
        return Err(needs(
            "update-ca-certificates clears the store, because its configuration is empty",
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
        // The tool replaces this link by its bundle. The file that the link leads to gets the
        // certificates as well.
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

/// The lines of a file as a shell loop reads them: text after the last newline is ignored.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
}

/// A line after the shell's `read`, which trims blanks.
fn read(line: &str) -> &str {
    line.trim_matches([' ', '\t'])
}

/// Refuses a base on which only the tool itself gives the right result: it is missing, it is an old
/// version, or it has hooks.
fn check_tool(overlay: &Overlay<'_>) -> Result<(), AssembleStop> {
    let Some(tool) = overlay.read(TOOL)? else {
        return Err(
            needs("the base has no update-ca-certificates (package ca-certificates)").into(),
        );
    };
    let tool = String::from_utf8_lossy(&tool);
    if tool.contains("c_rehash") || !tool.contains("LOCALCERTSDIR") {
        return Err(
            needs("golden does not know the base's version of update-ca-certificates").into(),
        );
    }
    if !overlay.is_file("usr/bin/openssl")? {
        return Err(needs("the base has no openssl, which update-ca-certificates calls").into());
    }
    match hooks(overlay)?.first() {
        Some(name) => Err(needs(&format!("the base has the hook /{HOOKS}/{name}")).into()),
        None => Ok(()),
    }
}

/// The limit of directories that are searched for local certificates. Symbolic links can multiply
/// them.
const DIRECTORIES: u32 = 1024;

/// The local certificates below a directory, links followed, as `find -L | sort` lists them.
fn local(
    overlay: &Overlay<'_>,
    directory: &str,
    depth: u32,
    visited: &mut u32,
) -> Result<Vec<String>, AssembleStop> {
    *visited += 1;
    if depth > 32 || *visited > DIRECTORIES {
        return Err(Error::LinkLoop(format!("/{directory}")).into());
    }
    let mut found = Vec::new();
    for name in overlay.list(directory)? {
        let path = format!("{directory}/{name}");
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

/// The tool's `add`: creates the link by name and appends the certificate to the bundle. Returns
/// true if the link is new.
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
    let same =
        matches!(overlay.entry(&pem)?, Some(TreeNode::Symlink(current)) if *current == target);
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

/// The tool's `remove`: removes the link. Returns true if it existed.
fn remove(overlay: &mut Overlay<'_>, store: &str, name: &str) -> Result<bool, AssembleStop> {
    let pem = format!("{store}/{}.pem", base_name(name));
    let exists = matches!(overlay.entry(&pem)?, Some(TreeNode::Symlink(_)));
    if exists {
        overlay.remove(&pem)?;
    }
    Ok(exists)
}

/// `basename PATH .crt`.
fn base_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".crt")
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}
