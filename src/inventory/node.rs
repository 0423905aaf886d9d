//! The `package.json` of packages of npm, and of applications
//! (<https://docs.npmjs.com/cli/configuring-npm/package-json>).

use serde_json::Value;

use super::package::{Package, PackageKind};
use super::package_list::PackageList;

/// The directory of installed packages.
const MODULES: &str = "node_modules/";

/// True if a `package.json` describes an installed package, or an application outside of
/// `node_modules`. Files deeper in a package are often examples.
pub(super) fn is_package(path: &str) -> bool {
    let Some(directory) = path.strip_suffix("package.json") else {
        return false;
    };
    is_installed(path) || (directory.ends_with('/') && !directory.contains(MODULES))
}

/// True if the path is that of an installed package: `node_modules/NAME` or
/// `node_modules/@SCOPE/NAME`.
pub(super) fn is_installed(path: &str) -> bool {
    let below = path.rfind(MODULES).map(|at| &path[at + MODULES.len()..]);
    let parts: Vec<&str> = below.unwrap_or_default().split('/').collect();
    match parts[..] {
        [_, "package.json"] => true,
        [scope, _, "package.json"] => scope.starts_with('@'),
        _ => false,
    }
}

/// Reads a package. A file without a name and a version does not describe one.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let mut packages = PackageList::default();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => {
            packages.problem(format!("it is not JSON: {error}"));
            return packages;
        }
    };
    let field = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let (Some(name), Some(version)) = (field("name"), field("version")) {
        let license = value.pointer("/license/type").and_then(Value::as_str);
        packages.packages.push(Package {
            license: field("license").or_else(|| license.map(str::to_owned)),
            supplier: field("author"),
            ..Package::new(PackageKind::Npm, name, version)
        });
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_applications_are_known_by_their_paths() {
        for (path, package, installed) in [
            ("app/package.json", true, false),
            ("app/node_modules/a/package.json", true, true),
            ("app/node_modules/@s/a/package.json", true, true),
            ("app/node_modules/a/node_modules/b/package.json", true, true),
            ("app/node_modules/a/test/package.json", false, false),
            ("app/node_modules/.package-lock.json", false, false),
            ("app/my-package.json", false, false),
        ] {
            assert_eq!(is_package(path), package, "{path}");
            assert_eq!(is_installed(path), installed, "{path}");
        }
    }

    #[test]
    fn the_name_with_its_scope_and_the_licence_are_read() {
        let text = r#"{"name": "@types/node", "version": "1.0.0", "license": {"type": "MIT"}}"#;
        let read = read(text.as_bytes());
        assert_eq!(read.packages[0].purl(None), "pkg:npm/%40types/node@1.0.0");
        assert_eq!(read.packages[0].license.as_deref(), Some("MIT"));
        assert_eq!(super::read(b"{\"private\": true}"), PackageList::default());
        assert!(super::read(b"{").problem.is_some());
    }
}
