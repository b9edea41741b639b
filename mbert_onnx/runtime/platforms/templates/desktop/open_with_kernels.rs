// Opens a model with mbert's native kernels, by the crate `ort`. `library` is the path of the library for this system.
use ort::session::Session;

pub fn open_with_kernels(model: &str, library: &str) -> ort::Result<Session> {
    let mut builder = Session::builder()?.with_operator_library(library)?;
    builder.commit_from_file(model)
}
