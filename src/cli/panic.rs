//! The message for a panic. It shows the place in the source, but no data of the user.

use std::panic::PanicHookInfo;

/// Replaces the default panic hook, whose message may contain secrets.
pub(super) fn install(out: crate::report::Out) {
    std::panic::set_hook(Box::new(move |info| out.error(&text(info))));
}

/// True if the system refused to start a thread. tokio and the standard library panic in that case.
fn is_lack_of_threads(info: &PanicHookInfo<'_>) -> bool {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| payload.downcast_ref::<&'static str>().copied())
        .unwrap_or_default();
    ["can't spawn worker thread", "failed to spawn thread"]
        .iter()
        .any(|words| text.contains(words))
}

/// The message of a panic. A formatted panic text is omitted, because only a literal of the source
/// certainly contains no secret.
fn text(info: &PanicHookInfo<'_>) -> String {
    if is_lack_of_threads(info) {
        return "error: the system does not let golden start another thread\n  help: raise the limit of processes \
                (`ulimit -u`, or that of the container); golden needs a few threads more than there are CPUs"
            .to_owned();
    }
    let place = info.location().map_or_else(String::new, |place| {
        format!(" at {}:{}", place.file(), place.line())
    });
    let what = info
        .payload()
        .downcast_ref::<&'static str>()
        .map_or_else(String::new, |what| format!(": {what}"));
    format!(
        "error: golden has a bug and stops{place}{what}\n  help: please report it with this line and the command that you ran \
         (golden {} on {}-{}); it contains nothing from your files",
        env!("GOLDEN_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}
