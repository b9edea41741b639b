// Not run here: rustfmt 1.9 accepts it; the calls were compared with the documentation of ort. Prints the labels of a text.
// A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// cargo run -- BUNDLE "A warm, funny and deeply moving film."

use ort::{inputs, logging::LogLevel, session::Session, value::Tensor};

fn main() -> ort::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let (bundle, text) = (&arguments[1], arguments[2].as_bytes());
    let names = std::fs::read_to_string(format!("{bundle}/labels.txt")).expect("labels.txt");
    let names: Vec<&str> = names.lines().collect();
    let mut session = Session::builder()?
        .with_log_level(LogLevel::Error)?
        .commit_from_file(format!("{bundle}/onnx/model_text.onnx"))?;

    let found = session.run(inputs![
        "text" => Tensor::from_array(([text.len()], text.to_vec()))?,
        "max_length" => Tensor::from_array(([1usize], vec![512i64]))?,
    ])?;
    let (_, labels) = found["labels"].try_extract_tensor::<i64>()?;
    let (_, scores) = found["scores"].try_extract_tensor::<f32>()?;
    for (label, score) in labels.iter().zip(scores) {
        println!("{score:.4} {}", names[*label as usize]);
    }
    Ok(())
}
