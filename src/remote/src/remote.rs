//! A URL as an object store, and what its refusals mean.
//!
//! `file://DIR` (or a directory), `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` and `az://CONTAINER/PREFIX`. Credentials,
//! endpoint and region come from the usual environment variables: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`,
//! `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, ….

use std::sync::Arc;
use std::time::Duration;

use artifact::{Error, Result};
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, PutMode, RetryConfig,
};
use url::Url;

/// The longest that one request may take: a piece of a file on a slow line.
const REQUEST: &str = "120 seconds";
/// How often, and for how long, a request that fails is tried again.
const RETRIES: usize = 4;
const RETRY_WITHIN: Duration = Duration::from_secs(15);

/// What stands in a URL where a machine is asked in vain for credentials of its own.
const METADATA: [&str; 4] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal", "/latest/api/token"];
/// What S3, Azure and GCS say of a bucket that is not there.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];

/// A store that is shared.
#[derive(Clone, Debug)]
pub struct Remote {
    pub objects: Arc<dyn ObjectStore>,
    /// Below which everything lies.
    pub root: Path,
    url: String,
    /// The variables that hold its credentials.
    variables: &'static str,
}

/// A retry now and then carries over a hiccup; a remote that is gone is told within half a minute.
fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_WITHIN }
}

impl Remote {
    /// Opens the remote at a URL. Makes no request.
    pub fn open(url: &str) -> Result<Self> {
        let refused = |what: &str| Error::Config(format!("{url}: {what}"));
        if !url.contains("://") {
            return Self::local(url, url, std::path::Path::new(url));
        }
        let parsed = Url::parse(url).map_err(|error| refused(&format!("is no URL ({error})")))?;
        let (scheme, root) = ObjectStoreScheme::parse(&parsed)
            .map_err(|_| refused("is of no kind that is known; use file://, s3://, gs:// or az://"))?;
        let timeout = ClientConfigKey::Timeout;
        let (objects, variables): (object_store::Result<Arc<dyn ObjectStore>>, _) = match scheme {
            ObjectStoreScheme::Local => {
                let dir = parsed.to_file_path().map_err(|()| refused("is no path of a directory"))?;
                return Self::local(url, url, &dir);
            }
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry());
                let builder = builder.with_config(AmazonS3ConfigKey::Client(timeout), REQUEST);
                (builder.build().map(|s3| Arc::new(s3) as _), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry());
                let builder = builder.with_config(GoogleConfigKey::Client(timeout), REQUEST);
                (builder.build().map(|gcs| Arc::new(gcs) as _), "GOOGLE_APPLICATION_CREDENTIALS")
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry());
                let builder = builder.with_config(AzureConfigKey::Client(timeout), REQUEST);
                let variables = "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY";
                (builder.build().map(|azure| Arc::new(azure) as _), variables)
            }
            _ => return Err(refused("is no object store; use file://, s3://, gs:// or az://")),
        };
        let objects = objects.map_err(|error| refused(&format!("{}; look at {variables}", chain(&error))))?;
        Ok(Self { objects, root, url: url.trim_end_matches('/').to_owned(), variables })
    }

    fn local(named: &str, url: &str, dir: &std::path::Path) -> Result<Self> {
        let objects = LocalFileSystem::new_with_prefix(dir)
            .map_err(|_| Error::Config(format!("{named}: there is no such directory; make it, or mount it")))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { objects: Arc::new(objects), root: Path::default(), url, variables: "the rights of the directory" })
    }

    /// Its URL as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of an object.
    pub fn place(&self, path: &Path) -> String {
        let below = path.as_ref().strip_prefix(self.root.as_ref()).unwrap_or(path.as_ref());
        format!("{}/{}", self.url, below.trim_start_matches('/'))
    }

    /// The bytes of a small object; `None` if it is not there.
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async { self.objects.get(path).await?.bytes().await };
        self.found(path, read.await)
    }

    /// The size of an object; `None` if it is not there.
    pub async fn size(&self, path: &Path) -> Result<Option<u64>> {
        Ok(self.found(path, self.objects.head(path).await)?.map(|meta| meta.size))
    }

    /// Writes an object, whatever is there.
    pub async fn write(&self, path: &Path, bytes: Bytes) -> Result<()> {
        self.objects.put(path, bytes.into()).await.map(drop).map_err(|error| self.failure(path, &error))
    }

    /// Writes an object where none is; `false` if one is there.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool> {
        match self.objects.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failure(path, &error)),
        }
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, path: &Path) -> Result<()> {
        self.found(path, self.objects.delete(path).await).map(drop)
    }

    fn found<T>(&self, path: &Path, result: object_store::Result<T>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error @ object_store::Error::NotFound { .. }) if !lacks_bucket(&chain(&error)) => Ok(None),
            Err(error) => Err(self.failure(path, &error)),
        }
    }

    /// What a refusal means, and how it is mended.
    pub fn failure(&self, path: &Path, error: &object_store::Error) -> Error {
        let (said, url, variables) = (chain(error), &self.url, self.variables);
        let denied =
            matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. });
        if lacks_bucket(&said) {
            Error::Config(format!("{url}: there is no such bucket; make it, or correct its name"))
        } else if METADATA.iter().any(|place| said.contains(place)) {
            Error::Config(format!("{url}: there are no credentials; set {variables}"))
        } else if denied {
            Error::Config(format!("{url}: access is refused; look at {variables} ({said})"))
        } else if said.contains("scheme is not allowed") {
            Error::Config(format!("{url}: its endpoint is plain http; set AWS_ALLOW_HTTP=true if that is meant"))
        } else if said.contains("error sending request") || said.contains("error trying to connect") {
            Error::Failed(format!("{url}: cannot be reached; look at the network and the endpoint ({said})"))
        } else {
            Error::Failed(format!("{}: {said}", self.place(path)))
        }
    }
}

fn lacks_bucket(said: &str) -> bool {
    NO_BUCKET.iter().any(|word| said.contains(word))
}

/// An error with its causes, in one line. What a cause repeats is left out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    artifact::error::printable(&said.split_whitespace().collect::<Vec<_>>().join(" "), 400)
}
