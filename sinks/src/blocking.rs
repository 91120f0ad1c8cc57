//! Blocking work on threads of its own.

use std::panic::resume_unwind;

use tokio::task::{JoinError, spawn_blocking};

/// Runs work on a blocking thread. Resumes a panic of the work here, so that it ends the waiting task.
///
/// # Errors
/// When the work was cancelled, which happens only while the process ends.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => Err(cancelled),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_reaches_the_task_that_waits() {
        let waiting = tokio::spawn(run(|| panic!("a fault of ours")));
        assert!(waiting.await.unwrap_err().is_panic());
        assert_eq!(run(|| 7).await.unwrap(), 7);
    }
}
