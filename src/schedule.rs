//! Runs a graph of images: up to `--jobs` in parallel, parents before their children. A failure
//! stops only the images that depend on it.
//!
//! The work runs in the caller's task. Dropping the returned future drops all running work; this is
//! how an interrupt cancels builds.

use std::num::NonZeroUsize;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// The result of the work on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// The work succeeded with this value.
    Done(T),
    /// The work failed with this error.
    Failed(E),
    /// The work did not start because a node that it depends on failed.
    Blocked {
        /// The position of the node that failed.
        by: usize,
    },
}

impl<T, E> Outcome<T, E> {
    /// The value, if the work succeeded.
    pub const fn done(&self) -> Option<&T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Failed(_) | Self::Blocked { .. } => None,
        }
    }
}

/// Runs `work` for every node of a graph. `parents[n]` are the positions of the nodes that node `n`
/// depends on. `work` receives the position of a node and its parents' results, in the order of
/// `parents[n]`. Nodes that are ready start in the order of their positions. The outcomes are
/// returned by position.
///
/// The graph must not have a cycle. If it has one, the nodes of the cycle are returned as blocked
/// by themselves, so that the function does not hang.
pub async fn run<T, E, F, W>(
    parents: &[Vec<usize>],
    jobs: NonZeroUsize,
    work: F,
) -> Vec<Outcome<T, E>>
where
    T: Clone,
    F: Fn(usize, Vec<T>) -> W,
    W: Future<Output = Result<T, E>>,
{
    let mut outcomes: Vec<Option<Outcome<T, E>>> = parents.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut children: Vec<Vec<usize>> = parents.iter().map(|_| Vec::new()).collect();
    for (node, above) in parents.iter().enumerate() {
        for parent in above {
            children[*parent].push(node);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..parents.len()).filter(|n| waiting[*n] == 0).collect();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < jobs.get()
            && let Some(node) = ready.pop_first()
        {
            let blocked = parents[node]
                .iter()
                .find_map(|parent| blocker(*parent, outcomes[*parent].as_ref()));
            if let Some(by) = blocked {
                outcomes[node] = Some(Outcome::Blocked { by });
                release(node, &children, &mut waiting, &mut ready);
                continue;
            }
            let results = parents[node]
                .iter()
                .filter_map(|p| outcomes[*p].as_ref()?.done().cloned())
                .collect();
            let future = work(node, results);
            running.push(async move { (node, future.await) });
        }
        let Some((node, result)) = running.next().await else {
            break;
        };
        outcomes[node] = Some(match result {
            Ok(value) => Outcome::Done(value),
            Err(error) => Outcome::Failed(error),
        });
        release(node, &children, &mut waiting, &mut ready);
    }
    outcomes
        .into_iter()
        .enumerate()
        .map(|(node, o)| o.unwrap_or(Outcome::Blocked { by: node }))
        .collect()
}

/// The node that blocks the children of `parent`; `None` if the parent succeeded.
fn blocker<T, E>(parent: usize, outcome: Option<&Outcome<T, E>>) -> Option<usize> {
    match outcome {
        Some(Outcome::Done(_)) => None,
        Some(Outcome::Blocked { by }) => Some(*by),
        Some(Outcome::Failed(_)) | None => Some(parent),
    }
}

/// Updates the children of a node that ended: a child that waits for no other parent becomes ready.
fn release(
    node: usize,
    children: &[Vec<usize>],
    waiting: &mut [usize],
    ready: &mut std::collections::BTreeSet<usize>,
) {
    for child in &children[node] {
        waiting[*child] -= 1;
        if waiting[*child] == 0 {
            ready.insert(*child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn jobs(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[tokio::test]
    async fn parents_run_first_and_pass_their_results_to_their_children() {
        // 0 ← 1 ← 3, 0 ← 2 ← 3
        let graph = [vec![], vec![0], vec![0], vec![1, 2]];
        let outcomes = run(&graph, jobs(8), |node, above: Vec<String>| async move {
            Ok::<_, ()>(format!("{node}({})", above.join(",")))
        })
        .await;
        assert_eq!(outcomes[3], Outcome::Done("3(1(0()),2(0()))".to_owned()));
    }

    #[tokio::test]
    async fn a_failure_stops_only_its_descendants() {
        let graph = [vec![], vec![0], vec![1], vec![], vec![3]];
        let outcomes = run(&graph, jobs(2), |node, _: Vec<()>| async move {
            if node == 0 { Err("no") } else { Ok(()) }
        })
        .await;
        assert_eq!(
            outcomes,
            [
                Outcome::Failed("no"),
                Outcome::Blocked { by: 0 },
                Outcome::Blocked { by: 0 },
                Outcome::Done(()),
                Outcome::Done(())
            ]
        );
    }

    #[tokio::test]
    async fn no_more_nodes_run_at_once_than_jobs_allows() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let graph = vec![vec![]; 10];
        let (now_ref, most_ref) = (&now, &most);
        run(&graph, jobs(3), |_, _: Vec<()>| async move {
            now_ref.set(now_ref.get() + 1);
            most_ref.set(most_ref.get().max(now_ref.get()));
            tokio::task::yield_now().await;
            now_ref.set(now_ref.get() - 1);
            Ok::<_, ()>(())
        })
        .await;
        assert_eq!(most.get(), 3);
    }

    #[tokio::test]
    async fn one_job_runs_the_nodes_in_order() {
        let order = RefCell::new(Vec::new());
        let graph = [vec![2], vec![], vec![], vec![]];
        let order_ref = &order;
        run(&graph, jobs(1), |node, _: Vec<()>| async move {
            order_ref.borrow_mut().push(node);
            Ok::<_, ()>(())
        })
        .await;
        assert_eq!(order.into_inner(), [1, 2, 0, 3]);
    }

    #[tokio::test]
    async fn a_cycle_does_not_hang() {
        let outcomes = run(&[vec![1], vec![0]], jobs(1), |_, _: Vec<()>| async {
            Ok::<_, ()>(())
        })
        .await;
        assert_eq!(
            outcomes,
            [Outcome::Blocked { by: 0 }, Outcome::Blocked { by: 1 }]
        );
    }
}
