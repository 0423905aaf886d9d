//! Two publishers at once: when both have finished, every moving tag is on the highest version.

use crate::support::publisher::{Image, Publisher, fresh_name};
use crate::support::services;

#[tokio::test]
async fn the_higher_version_has_latest_in_the_end() {
    for round in 0..20 {
        let name = fresh_name("race");
        let (low, high) = (Image::new(&name, "1.2.3"), Image::new(&name, "1.3.0"));
        let run = |image: Image| {
            let pause = std::time::Duration::from_millis(fastrand::u64(0..20));
            async move {
                tokio::time::sleep(pause).await;
                Publisher::new(&[services::registry()], 3).publish(&image).await.result
            }
        };
        let (first, second) = tokio::join!(run(low.clone()), run(high.clone()));
        assert!(first.is_ok(), "round {round}: {first:?}");
        assert!(second.is_ok(), "round {round}: {second:?}");
        let tags = Publisher::new(&[services::registry()], 3).tags(&name).await;
        let on = |tag: &str| if tags[tag] == high.digest() { "1.3.0" } else { "1.2.3" };
        let found = ["1", "1.2", "1.2.3", "1.3", "1.3.0", "latest"].map(on);
        assert_eq!(found, ["1.3.0", "1.2.3", "1.2.3", "1.3.0", "1.3.0", "1.3.0"], "round {round}");
    }
}
