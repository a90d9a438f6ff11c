//! Files that the programs beside the stages write: each is there whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use artifact::{Error, Result};

/// Writes a file under a temporary name beside it, making its folders. That name is short, as the file's own may be as
/// long as names can be. The disk is not waited for: what a loss of power takes can be made again.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = || {
        std::fs::create_dir_all(folder)?;
        // Readable for whom any new file is, which temporary ones are not.
        let rights = std::fs::Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new().permissions(rights).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(Error::io("write", path))
}
