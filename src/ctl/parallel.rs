//! The same work for many modules, on all processors: looking at a thousand status directories is twenty thousand
//! system calls, none of which waits for another.

use std::thread;

/// Fewer than this for one thread are done before it has started.
const SHARE_MIN: usize = 64;

/// More threads than this get into each other's way in the kernel.
const THREADS_MAX: usize = 8;

/// What `work` makes of each of `items`, in their order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = items.len().div_ceil(processors).max(SHARE_MIN);
    let mut shares = items.chunks(share);
    // The first share is ours; for most calls there is no other.
    let ours = shares.next().unwrap_or_default();
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|share| {
                let run = move || share.iter().map(work).collect::<Vec<R>>();
                // No thread to be had (a process limit): then it is done here, below.
                (share, thread::Builder::new().spawn_scoped(scope, run).ok())
            })
            .collect();
        let mut all: Vec<R> = ours.iter().map(work).collect();
        for (share, thread) in others {
            match thread.map(thread::ScopedJoinHandle::join) {
                Some(Ok(done)) => all.extend(done),
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => all.extend(share.iter().map(work)),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn the_order_is_kept_and_nothing_is_left_out() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
