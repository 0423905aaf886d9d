//! `base.outdated`, which `audit` applies to the files of other programs.

use super::Rule;
use crate::diagnostic::Severity;

pub(super) static RULE: Rule = Rule {
    id: "base.outdated",
    severity: Severity::Error,
    fixed: false,
    summary: "a Dockerfile, Compose file or Kubernetes manifest names the newest patch of a base and its current digest",
    docs: "\
`golden audit --dockerfile`, `--compose` and `--kubernetes` report an image whose tag has a newer patch in the
registry (`1.2.3` if `1.2.5` exists, with the same suffix such as `-slim`), or whose digest is not the one that
golden.lock has for the tag, or else the registry. The digest of the image of one platform counts too. A tag without
a digest, such as `1.2`, is not outdated: it moves.

`--fix` writes the newest patch and its digest into the files.
",
    check: None,
};
