//! Images without a tool: the bundle alone (7-rules 16).

use super::super::Stop;
use super::super::overlay::Overlay;
use super::file;
use crate::resolve::image::Certificate;

/// Where programs without a distribution look first.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Appends to the bundle, which is made when there is none: on scratch it is exactly what the spec trusts.
pub(super) fn place(certificates: &[Certificate], overlay: &mut Overlay<'_>) -> Result<(), Stop> {
    let mut bytes = overlay.read(BUNDLE)?.map(|bytes| bytes.to_vec()).unwrap_or_default();
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        bytes.push(b'\n');
    }
    for certificate in certificates {
        bytes.extend_from_slice(certificate.pem.as_bytes());
    }
    // A link stays a link; what it leads to is written.
    let target = overlay.resolve(BUNDLE)?;
    overlay.place(file(&target, bytes))
}
