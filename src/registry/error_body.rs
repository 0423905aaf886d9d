//! The bodies of error responses.

use reqwest::Response;

use super::http::SentSecrets;

/// The body of an error response. The secrets that were sent are masked, because some servers echo
/// the request.
pub(super) async fn masked_body(response: Response, most: usize) -> Vec<u8> {
    let sent = response
        .extensions()
        .get::<SentSecrets>()
        .cloned()
        .unwrap_or_default();
    sent.mask(&read_some(response, most).await)
}

/// Reads at most `most` bytes of a body. A longer or broken body is not an error.
pub(super) async fn read_some(mut response: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece[..piece.len().min(most - body.len())]);
            if body.len() >= most {
                break;
            }
        }
    };
    // The part that arrived in time is enough for a message.
    drop(tokio::time::timeout(std::time::Duration::from_secs(10), read).await);
    body
}
