//! Where files are put: a folder, or a bucket. Either puts a file only if there is none.
//!
//! In a folder that is: write under another name, sync, link to the final name (which fails if it
//! is taken), sync the folder. In a bucket it is `PUT` with `If-None-Match: *`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, PutMode, PutOptions, RetryConfig};
use rustix::fs::Access;
use tillrace_log::explain::{Explained, Explanation};
use uuid::Uuid;

use super::settings::{ParquetSettings, S3Settings};
use crate::blocking;
use crate::failure::{ErrorChain, FailureCode, sources};

/// Folder for files that are not published yet; readers match `*.parquet` beside it.
const UNPUBLISHED: &str = ".unpublished";

/// A place for files.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket { store: Arc<AmazonS3>, bucket: String, prefix: ObjectPath },
}

/// Why a place cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file system failed.
    #[error("{action} {path}")]
    File {
        /// Verb.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bucket failed.
    #[error("{action} in the bucket")]
    Bucket {
        /// Verb and object.
        action: &'static str,
        /// What the bucket said.
        source: object_store::Error,
    },
    /// The process ends.
    #[error("working on files was cancelled")]
    Thread,
}

impl PlaceError {
    /// Tells what kind of failure it is.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::File { source, .. } => FailureCode::of_file(source),
            Self::Bucket { source, .. } => of_bucket(source),
            Self::Thread => FailureCode::Cancelled,
        }
    }
}

impl Explained for PlaceError {
    /// Those of its [`FailureCode`].
    const EXPLANATIONS: &'static [Explanation] = &[];

    fn explanation(&self) -> &'static Explanation {
        self.code().explanation()
    }
}

/// Tells why a bucket failed. Of a list that failed only the text says why: the words are the error codes of S3.
fn of_bucket(error: &object_store::Error) -> FailureCode {
    const BY_WORDS: [(&str, FailureCode); 5] = [
        ("NoSuchBucket", FailureCode::BucketMissing),
        ("AccessDenied", FailureCode::BucketDenied),
        ("InvalidAccessKeyId", FailureCode::BucketDenied),
        ("SignatureDoesNotMatch", FailureCode::BucketDenied),
        ("403 Forbidden", FailureCode::BucketDenied),
    ];
    if let object_store::Error::PermissionDenied { .. }
    | object_store::Error::Unauthenticated { .. } = error
    {
        return FailureCode::BucketDenied;
    }
    let text = ErrorChain(error).to_string();
    if let Some((_, code)) = BY_WORDS.iter().find(|(words, _)| text.contains(words)) {
        return *code;
    }
    match sources(error).find_map(|source| source.downcast_ref::<HttpError>()) {
        Some(http) => match http.kind() {
            HttpErrorKind::Connect => FailureCode::of_connection(http),
            HttpErrorKind::Timeout => FailureCode::Timeout,
            _ => FailureCode::ConnectionLost,
        },
        None => FailureCode::BucketFailed,
    }
}

/// Looks whether a place can be used, and changes nothing: a folder, or the nearest that there is on the way to it, can be
/// written, or a bucket lists what it holds.
///
/// # Errors
/// When it cannot.
pub async fn probe(settings: &ParquetSettings) -> Result<(), PlaceError> {
    if let (Some((bucket, prefix)), Some(s3)) = (settings.bucket(), &settings.s3) {
        Place::of_bucket(s3, bucket, ObjectPath::from(prefix))?.last("").await?;
        return Ok(());
    }
    probe_folder(Path::new(&settings.place))
}

/// Looks whether a folder can be made, or written to, and changes nothing.
///
/// # Errors
/// When the nearest one that there is on the way to it is no folder, or cannot be written to.
pub fn probe_folder(folder: &Path) -> Result<(), PlaceError> {
    // Relative to where the process runs: `.` is the nearest of a path without folders.
    let place = Path::new(".").join(folder);
    let nearest = place.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let access = if nearest.is_dir() {
        rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into)
    } else {
        Err(ErrorKind::NotADirectory.into())
    };
    access.map_err(failed("write to", nearest))
}

impl Place {
    /// Opens the place that the settings name; a folder is made if there is none.
    pub(super) fn open(settings: &ParquetSettings, topic: &str) -> Result<Self, PlaceError> {
        let (Some((bucket, prefix)), Some(s3)) = (settings.bucket(), &settings.s3) else {
            let folder = Path::new(&settings.place).join(topic);
            let unpublished = folder.join(UNPUBLISHED);
            fs::create_dir_all(&unpublished).map_err(failed("make folder", &unpublished))?;
            return Ok(Self::Folder(folder));
        };
        Self::of_bucket(s3, bucket, ObjectPath::from(prefix).join(topic))
    }

    fn of_bucket(s3: &S3Settings, bucket: &str, prefix: ObjectPath) -> Result<Self, PlaceError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&s3.region)
            .with_access_key_id(s3.access_key_id.expose())
            .with_secret_access_key(s3.secret_access_key.expose())
            // The engine repeats calls itself, and says so.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(endpoint) = &s3.endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(refused("open"))?;
        Ok(Self::Bucket { store: Arc::new(store), bucket: bucket.to_owned(), prefix })
    }

    /// Returns the last of the names that begin so, in the order of their bytes.
    pub(super) async fn last(&self, start: &str) -> Result<Option<String>, PlaceError> {
        let names = self.names().await?;
        Ok(names.into_iter().filter(|name| name.starts_with(start)).max())
    }

    /// Returns all names.
    pub(super) async fn names(&self) -> Result<Vec<String>, PlaceError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                beside(move || names_in(&folder)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let listed =
                    store.list_with_delimiter(Some(prefix)).await.map_err(refused("list files"))?;
                let names = listed.objects.iter().filter_map(|object| object.location.filename());
                Ok(names.map(str::to_owned).collect())
            }
        }
    }

    /// Reads a small file, if there is one of that name.
    pub(super) async fn find(&self, name: &str, bytes: u64) -> Result<Option<Bytes>, PlaceError> {
        match self.tail(name, bytes).await {
            Err(PlaceError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(PlaceError::Bucket { source: object_store::Error::NotFound { .. }, .. }) => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Reads a file as a whole.
    pub(super) async fn read(&self, name: &str) -> Result<Bytes, PlaceError> {
        match self {
            Self::Folder(_) => self.tail(name, u64::MAX).await,
            Self::Bucket { store, prefix, .. } => {
                let path = prefix.clone().join(name);
                let found = store
                    .get_opts(&path, GetOptions::default())
                    .await
                    .map_err(refused("read a file"))?;
                found.bytes().await.map_err(refused("read a file"))
            }
        }
    }

    /// Reads the end of a file, or all of it if it is shorter.
    pub(super) async fn tail(&self, name: &str, bytes: u64) -> Result<Bytes, PlaceError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                beside(move || tail_of(&path, bytes)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let range = Some(GetRange::Suffix(bytes));
                let options = GetOptions { range, ..GetOptions::default() };
                let found = store
                    .get_opts(&prefix.clone().join(name), options)
                    .await
                    .map_err(refused("read a file"))?;
                found.bytes().await.map_err(refused("read a file"))
            }
        }
    }

    /// Publishes a file; false if there is one of that name, which then stays as it is.
    pub(super) async fn put_new(&self, name: &str, content: Bytes) -> Result<bool, PlaceError> {
        match self {
            Self::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                beside(move || publish(&folder, &name, &content)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                let path = prefix.clone().join(name);
                match store.put_opts(&path, content.into(), options).await {
                    Ok(_) => Ok(true),
                    Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                    Err(error) => Err(refused("publish a file")(error)),
                }
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(formatter),
            Self::Bucket { bucket, prefix, .. } => write!(formatter, "s3://{bucket}/{prefix}"),
        }
    }
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlaceError> + Send + 'static,
) -> Result<T, PlaceError> {
    blocking::run(work).await.map_err(|_cancelled| PlaceError::Thread)?
}

fn names_in(folder: &Path) -> Result<Vec<String>, PlaceError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        // What is no UTF-8 is no name of ours.
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn tail_of(path: &Path, bytes: u64) -> Result<Bytes, PlaceError> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(content.into())
    };
    read().map_err(failed("read", path))
}

fn publish(folder: &Path, name: &str, content: &[u8]) -> Result<bool, PlaceError> {
    let unpublished = folder.join(UNPUBLISHED).join(format!("{name}.{}", Uuid::new_v4()));
    write_synced(&unpublished, content).map_err(failed("write", &unpublished))?;
    let path = folder.join(name);
    let linked = match fs::hard_link(&unpublished, &path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("publish", &path)(error)),
    };
    fs::remove_file(&unpublished).map_err(failed("remove", &unpublished))?;
    // The name is durable when the folder is; also for the loser, who builds on the winner's file.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
    linked
}

fn write_synced(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PlaceError {
    move |source| PlaceError::File { action, path: path.to_owned(), source }
}

fn refused(action: &'static str) -> impl FnOnce(object_store::Error) -> PlaceError {
    move |source| PlaceError::Bucket { action, source }
}
