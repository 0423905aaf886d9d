//! The dependencies of an application of .NET, `NAME.deps.json`
//! (<https://github.com/dotnet/cli/blob/rel/1.0.0/Documentation/specs/runtime-configuration-file.md>).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::package::{Package, PackageKind};
use super::package_list::PackageList;

#[derive(Deserialize)]
struct Dependencies {
    #[serde(default)]
    libraries: BTreeMap<String, Library>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default, rename = "type")]
    kind: String,
}

/// The beginning of the name of a package with the runtime, which the application contains.
const RUNTIME: &str = "runtimepack.";

/// Reads the packages of `NuGet`. Other libraries are the application's own projects.
pub(super) fn read(bytes: &[u8]) -> PackageList {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let dependencies: Dependencies = match serde_json::from_slice(text) {
        Ok(dependencies) => dependencies,
        Err(error) => {
            return PackageList::unread(format!("it is not a list of dependencies: {error}"));
        }
    };
    let mut packages = PackageList::default();
    for (key, library) in dependencies.libraries {
        let key = match library.kind.as_str() {
            "package" => key.as_str(),
            "runtimepack" => key.strip_prefix(RUNTIME).unwrap_or(&key),
            _ => continue,
        };
        match key.split_once('/') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                let package = Package::new(PackageKind::Nuget, name.to_owned(), version.to_owned());
                packages.packages.push(package);
            }
            _ => packages.problem(format!("the library `{key}` has no version")),
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_nuget_are_listed_and_projects_are_not() {
        let text = "\u{feff}{\"targets\": {}, \"libraries\": {\
            \"App/1.0.0\": {\"type\": \"project\"},\
            \"Newtonsoft.Json/13.0.3\": {\"type\": \"package\", \"serviceable\": true},\
            \"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.0\": {\"type\": \"runtimepack\"}}}";
        let read = read(text.as_bytes());
        let purls: Vec<String> = read.packages.iter().map(|one| one.purl(None)).collect();
        assert_eq!(
            purls,
            [
                "pkg:nuget/Newtonsoft.Json@13.0.3",
                "pkg:nuget/Microsoft.NETCore.App.Runtime.linux-x64@8.0.0"
            ]
        );
        assert_eq!(read.problem, None);
    }

    #[test]
    fn damage_is_reported() {
        assert!(super::read(b"{").problem.unwrap().contains("dependencies"));
        let read = super::read(br#"{"libraries": {"a": {"type": "package"}}}"#);
        assert!(read.problem.unwrap().contains("`a` has no version"));
        assert_eq!(super::read(b"{}"), PackageList::default());
    }
}
