//! The list of crates that `cargo auditable` adds to an executable
//! (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>).

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use flate2::{Decompress, FlushDecompress};
use serde::Deserialize;

use super::package::{Package, PackageKind};
use super::package_list::PackageList;

/// The longest list, in bytes of JSON.
const LONGEST: u64 = 8 << 20;
/// The number of bytes of a list that show that it is one.
const SHOWN: usize = 32;
/// The first key of a list.
const KEYS: [&str; 2] = ["{\"packages\"", "{\"format\""];

#[derive(Deserialize)]
struct CrateList {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    kind: Option<String>,
}

/// True if compressed data with this start can be a list.
pub(super) fn is_start(start: &[u8], inflate: &mut Decompress) -> bool {
    inflate.reset(true);
    let mut shown = [0; SHOWN];
    // Output is written also if the rest is damaged or missing.
    let _ = inflate.decompress(start, &mut shown, FlushDecompress::None);
    let count = usize::try_from(inflate.total_out()).unwrap_or_default();
    let shown = shown.get(..count).unwrap_or_default();
    let shown = shown.iter().filter(|byte| !byte.is_ascii_whitespace());
    let shown: Vec<u8> = shown.copied().collect();
    KEYS.iter().any(|key| shown.starts_with(key.as_bytes()))
}

/// Reads a compressed list. Crates that only build scripts use are not part of the program.
pub(super) fn read(bytes: &[u8]) -> Result<PackageList, String> {
    let mut json = Vec::new();
    let damaged = |error| format!("its list of crates is damaged: {error}");
    ZlibDecoder::new(bytes)
        .take(LONGEST + 1)
        .read_to_end(&mut json)
        .map_err(damaged)?;
    if json.len() as u64 > LONGEST {
        return Err("its list of crates is too long".to_owned());
    }
    let list: CrateList = serde_json::from_slice(&json)
        .map_err(|error| format!("its list of crates is damaged: {error}"))?;
    let used = list
        .packages
        .into_iter()
        .filter(|one| !matches!(one.kind.as_deref(), Some("build")));
    Ok(PackageList {
        packages: used
            .map(|one| Package::new(PackageKind::Cargo, one.name, one.version))
            .collect(),
        problem: None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn compressed(json: &str, level: u32) -> Vec<u8> {
        let level = flate2::Compression::new(level);
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(json.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    const LIST: &str = r#"{"packages":[{"name":"adler","version":"1.0.2","source":"crates.io"},
        {"name":"cc","version":"1.0.1","source":"crates.io","kind":"build"},
        {"name":"app","version":"0.1.0","source":"local","dependencies":[0],"root":true}]}"#;

    #[test]
    fn crates_of_the_program_are_listed() {
        let mut inflate = Decompress::new(true);
        for level in 0..=9 {
            let bytes = compressed(LIST, level);
            assert!(is_start(&bytes, &mut inflate), "{level}");
            let read = read(&bytes).unwrap();
            let purls: Vec<String> = read.packages.iter().map(|one| one.purl(None)).collect();
            assert_eq!(purls, ["pkg:cargo/adler@1.0.2", "pkg:cargo/app@0.1.0"]);
        }
        for other in ["{}", "", "{\"name\": 1}", "text"] {
            assert!(!is_start(&compressed(other, 6), &mut inflate), "{other}");
        }
        assert!(!is_start(b"x\x9c", &mut inflate));
    }

    #[test]
    fn a_damaged_or_endless_list_is_an_error() {
        let bytes = compressed(LIST, 6);
        assert!(read(&bytes[..bytes.len() - 9]).is_err());
        assert!(read(&compressed("{\"packages\":[1]}", 6)).is_err());
        let endless = compressed(&" ".repeat(9 << 20), 9);
        assert!(read(&endless).unwrap_err().contains("too long"));
    }
}
