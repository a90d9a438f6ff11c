//! The end of a stage's `--help`: what it reads and writes, and what its parameters are, from its description.

use artifact::Item;
use artifact::error::exit;
use artifact::table::declarations;

use crate::{Description, Holders, Read};

/// The end of the help of a stage.
pub(crate) fn end(description: &Description) -> String {
    let Description { name, reads, writes, .. } = description;
    let mut lines = Vec::new();
    if !reads.is_empty() {
        lines.push("Reads, from whichever of its `needs` holds it:".to_owned());
        lines.extend(reads.iter().map(|read| named(&read.what, &held(read))));
    }
    lines.push("Writes, into the store:".to_owned());
    lines.extend(writes.tables.iter().map(|table| named(&Item::Table(table.clone()), "")));
    lines.extend(writes.files.iter().map(|file| named(&Item::File(file.clone()), "")));
    let optional = writes.optional_files.iter().map(|file| Item::File(file.clone()));
    lines.extend(optional.map(|file| named(&file, "where its parameters say so")));
    lines.push("  log.jsonl, what it did\n".to_owned());
    let paths = paths(description);
    lines.push(format!(
        "Its parameters are the manifest's table [stage.{name}]; none has a default in the program.{paths}"
    ));
    lines.push(format!("{}\n\n{}", nature(description), exit::HELP));
    lines.join("\n")
}

/// A line for a table or file, with what it means.
fn named(item: &Item, held: &str) -> String {
    let (what, meaning) = match item {
        Item::Table(table) => {
            let declared = declarations().into_iter().find(|declared| declared.name == table);
            (format!("table {table}"), declared.map(|declared| first_sentence(&declared.doc)).unwrap_or_default())
        }
        Item::File(file) => (format!("file {file}"), String::new()),
        Item::Params => ("the parameters of its inputs".to_owned(), String::new()),
    };
    let held = if held.is_empty() { String::new() } else { format!(" ({held})") };
    let meaning = if meaning.is_empty() { meaning } else { format!(": {meaning}") };
    format!("  {what}{held}{meaning}")
}

/// Under which circumstances it is read.
fn held(read: &Read) -> String {
    let holders = match read.holders {
        // Every input has parameters.
        _ if read.what == Item::Params => "",
        Holders::One => "",
        Holders::Optional => "if there is one",
        Holders::Every => "of all that hold it",
    };
    let only = read.only.as_ref().map(|only| format!("while {} is {}", only.param, only.value));
    [Some(holders.to_owned()).filter(|text| !text.is_empty()), only]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// What comes from outside the store.
fn paths(description: &Description) -> String {
    match description.path_params.as_slice() {
        [] => String::new(),
        names => format!(" From outside the store it reads the files that these name: {}.", names.join(", ")),
    }
}

/// What decides its result, and how its work divides.
fn nature(description: &Description) -> String {
    let mut decided = vec!["what it reads", "its parameters"];
    if description.seeded {
        decided.push("the seed");
    }
    if description.tensors {
        decided.push("the kind of device");
    }
    let last = decided.pop().unwrap_or_default();
    let divided = if description.sharded {
        "\nIt works image by image: shards (--shard) may run side by side, and the last one commits."
    } else {
        ""
    };
    format!(
        "What decides its result: {} and {last}. A result that is committed is not computed again.{divided}",
        decided.join(", ")
    )
}

fn first_sentence(text: &str) -> String {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use artifact::Row as _;
    use artifact::table::{CamRow, CurveRow, DatasetRow, MaskRow};

    use super::*;
    use crate::Contents;

    #[test]
    fn it_says_what_is_read_and_written_and_what_decides_the_result() {
        let description = Description {
            reads: vec![
                Read::table::<DatasetRow>(),
                Read::table::<MaskRow>().optional(),
                Read::table::<CamRow>().every().only_while("init", "cams"),
                Read::params(),
            ],
            writes: Contents::tables([CurveRow::TABLE]).with_file("net.safetensors"),
            seeded: true,
            tensors: true,
            sharded: true,
            path_params: vec!["list".to_owned()],
            ..Description::new("learn", 1, "learns")
        };
        let text = end(&description);
        for line in [
            "  table dataset: An image with all that training may know of it\n",
            "  table mask (if there is one): The ground truth of an image: ",
            "  table cam (of all that hold it, while init is \"cams\"): The class activation map ",
            "  the parameters of its inputs\n",
            "  table curve: One value of a training run\n  file net.safetensors\n",
            "[stage.learn]; none has a default in the program.",
            "From outside the store it reads the files that these name: list.\n",
            "What decides its result: what it reads, its parameters, the seed and the kind of device.",
            "shards (--shard) may run side by side",
        ] {
            assert!(text.contains(line), "no '{line}' in:\n{text}");
        }
        assert!(text.ends_with(exit::HELP));
        let plain = end(&Description { writes: description.writes, ..Description::new("make", 1, "makes") });
        assert!(plain.starts_with("Writes, into the store:\n"), "{plain}");
        assert!(plain.contains("What decides its result: what it reads and its parameters."), "{plain}");
    }
}
