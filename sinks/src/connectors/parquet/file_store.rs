//! A store of files: a folder or a bucket. Both publish a file only if none has its name.
//!
//! In a folder: write under another name, sync, link to the final name (which fails if the name is
//! taken), sync the folder. In a bucket: `PUT` with `If-None-Match: *`.

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

/// A folder or a bucket with the files of one topic.
#[derive(Debug, Clone)]
pub(super) enum FileStore {
    Folder(PathBuf),
    Bucket { store: Arc<AmazonS3>, bucket: String, prefix: ObjectPath },
}

/// Why a file store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
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
    #[error("file operation was cancelled")]
    Thread,
}

impl FileStoreError {
    /// Tells what kind of failure it is.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::File { source, .. } => FailureCode::of_file(source),
            Self::Bucket { source, .. } => bucket_failure(source),
            Self::Thread => FailureCode::Cancelled,
        }
    }
}

impl Explained for FileStoreError {
    /// Those of its [`FailureCode`].
    const EXPLANATIONS: &'static [Explanation] = &[];

    fn explanation(&self) -> &'static Explanation {
        self.code().explanation()
    }
}

/// Maps an error of a bucket to its code. A failed list tells its reason only in its text, by the error codes of S3.
fn bucket_failure(error: &object_store::Error) -> FailureCode {
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

/// Checks without any change whether a location can be used: its folder, or the nearest one that exists above it, can be
/// written, or its bucket lists its objects.
///
/// # Errors
/// When it cannot.
pub(super) async fn probe(settings: &ParquetSettings) -> Result<(), FileStoreError> {
    if let (Some((bucket, prefix)), Some(s3)) = (settings.bucket(), &settings.s3) {
        FileStore::bucket_failure(s3, bucket, ObjectPath::from(prefix))?.last("").await?;
        return Ok(());
    }
    probe_folder(Path::new(&settings.location))
}

/// Checks without any change whether a folder can be created or written to.
///
/// # Errors
/// When the nearest existing path above it is not a folder, or cannot be written to.
pub fn probe_folder(folder: &Path) -> Result<(), FileStoreError> {
    // Relative to where the process runs: `.` is the nearest of a path without folders.
    let path = Path::new(".").join(folder);
    let nearest = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let access = if nearest.is_dir() {
        rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into)
    } else {
        Err(ErrorKind::NotADirectory.into())
    };
    access.map_err(file_error("write to", nearest))
}

impl FileStore {
    /// Opens the store that the settings name; a missing folder is created.
    pub(super) fn open(settings: &ParquetSettings, topic: &str) -> Result<Self, FileStoreError> {
        let (Some((bucket, prefix)), Some(s3)) = (settings.bucket(), &settings.s3) else {
            let folder = Path::new(&settings.location).join(topic);
            let unpublished = folder.join(UNPUBLISHED);
            fs::create_dir_all(&unpublished).map_err(file_error("make folder", &unpublished))?;
            return Ok(Self::Folder(folder));
        };
        Self::bucket_failure(s3, bucket, ObjectPath::from(prefix).join(topic))
    }

    fn bucket_failure(
        s3: &S3Settings,
        bucket: &str,
        prefix: ObjectPath,
    ) -> Result<Self, FileStoreError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&s3.region)
            .with_access_key_id(s3.access_key_id.expose())
            .with_secret_access_key(s3.secret_access_key.expose())
            // The engine itself retries calls, with logs and metrics.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(endpoint) = &s3.endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(bucket_error("open"))?;
        Ok(Self::Bucket { store: Arc::new(store), bucket: bucket.to_owned(), prefix })
    }

    /// Returns the last name with a prefix, in the order of bytes.
    pub(super) async fn last(&self, start: &str) -> Result<Option<String>, FileStoreError> {
        let names = self.names().await?;
        Ok(names.into_iter().filter(|name| name.starts_with(start)).max())
    }

    /// Returns the names of all files.
    pub(super) async fn names(&self) -> Result<Vec<String>, FileStoreError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                run_blocking(move || names_in(&folder)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let listed = store
                    .list_with_delimiter(Some(prefix))
                    .await
                    .map_err(bucket_error("list files"))?;
                let names = listed.objects.iter().filter_map(|object| object.location.filename());
                Ok(names.map(str::to_owned).collect())
            }
        }
    }

    /// Reads the last bytes of a file, if it exists.
    pub(super) async fn find(
        &self,
        name: &str,
        bytes: u64,
    ) -> Result<Option<Bytes>, FileStoreError> {
        match self.tail(name, bytes).await {
            Err(FileStoreError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(FileStoreError::Bucket {
                source: object_store::Error::NotFound { .. }, ..
            }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads a file as a whole.
    pub(super) async fn read(&self, name: &str) -> Result<Bytes, FileStoreError> {
        match self {
            Self::Folder(_) => self.tail(name, u64::MAX).await,
            Self::Bucket { store, prefix, .. } => {
                let path = prefix.clone().join(name);
                let found = store
                    .get_opts(&path, GetOptions::default())
                    .await
                    .map_err(bucket_error("read a file"))?;
                found.bytes().await.map_err(bucket_error("read a file"))
            }
        }
    }

    /// Reads the end of a file, or all of it if it is shorter.
    pub(super) async fn tail(&self, name: &str, bytes: u64) -> Result<Bytes, FileStoreError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                run_blocking(move || tail_of(&path, bytes)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let range = Some(GetRange::Suffix(bytes));
                let options = GetOptions { range, ..GetOptions::default() };
                let found = store
                    .get_opts(&prefix.clone().join(name), options)
                    .await
                    .map_err(bucket_error("read a file"))?;
                found.bytes().await.map_err(bucket_error("read a file"))
            }
        }
    }

    /// Publishes a file; returns false, and changes nothing, if a file has that name.
    pub(super) async fn put_if_absent(
        &self,
        name: &str,
        content: Bytes,
    ) -> Result<bool, FileStoreError> {
        match self {
            Self::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                run_blocking(move || publish(&folder, &name, &content)).await
            }
            Self::Bucket { store, prefix, .. } => {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                let path = prefix.clone().join(name);
                match store.put_opts(&path, content.into(), options).await {
                    Ok(_) => Ok(true),
                    Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                    Err(error) => Err(bucket_error("publish a file")(error)),
                }
            }
        }
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(formatter),
            Self::Bucket { bucket, prefix, .. } => write!(formatter, "s3://{bucket}/{prefix}"),
        }
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileStoreError> + Send + 'static,
) -> Result<T, FileStoreError> {
    blocking::run(work).await.map_err(|_cancelled| FileStoreError::Thread)?
}

fn names_in(folder: &Path) -> Result<Vec<String>, FileStoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(file_error("list", folder))? {
        let entry = entry.map_err(file_error("list", folder))?;
        // Names of ours are UTF-8; others are ignored.
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn tail_of(path: &Path, bytes: u64) -> Result<Bytes, FileStoreError> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(content.into())
    };
    read().map_err(file_error("read", path))
}

fn publish(folder: &Path, name: &str, content: &[u8]) -> Result<bool, FileStoreError> {
    let unpublished = folder.join(UNPUBLISHED).join(format!("{name}.{}", Uuid::new_v4()));
    write_synced(&unpublished, content).map_err(file_error("write", &unpublished))?;
    let path = folder.join(name);
    let linked = match fs::hard_link(&unpublished, &path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(file_error("publish", &path)(error)),
    };
    fs::remove_file(&unpublished).map_err(file_error("remove", &unpublished))?;
    // A name is durable once its folder is synced. The loser syncs too, since it builds on the winner's file.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("sync", folder))?;
    linked
}

fn write_synced(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileStoreError {
    move |source| FileStoreError::File { action, path: path.to_owned(), source }
}

fn bucket_error(action: &'static str) -> impl FnOnce(object_store::Error) -> FileStoreError {
    move |source| FileStoreError::Bucket { action, source }
}
