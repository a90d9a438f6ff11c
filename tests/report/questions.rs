//! The questions of artifacts/README.md: `camflow query`, Polars and DuckDB give the same answers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{peers, run, stderr, stdout, store};

/// A question with its three answers, as they stand in the document.
struct Question<'a> {
    title: &'a str,
    camflow: &'a str,
    python: &'a str,
    sql: &'a str,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of the code block of a language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let begin = format!("```{language}\n");
    let code = text.split_once(&begin).unwrap_or_else(|| panic!("no block '{language}' in:\n{text}")).1;
    code.split_once("```").expect("the block ends").0
}

fn questions(document: &str) -> Vec<Question<'_>> {
    let section = document.split_once("\n## Ten questions\n").expect("the document has the questions").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let each = section.split("\n**").skip(1).map(|text| Question {
        title: text.split("**").next().unwrap_or_default(),
        camflow: block(text, "sh").strip_prefix("camflow query \"").and_then(|sql| sql.strip_suffix("\"\n")).unwrap(),
        python: block(text, "python"),
        sql: block(text, "sql"),
    });
    each.collect()
}

/// What Polars and DuckDB answer, in the order of the questions.
fn answers_of_peers(directory: &Path, questions: &[Question<'_>]) -> Vec<Value> {
    let questions: Vec<_> = questions.iter().map(|q| json!({ "python": q.python, "sql": q.sql })).collect();
    let task = json!({ "directory": directory, "questions": questions });
    serde_json::from_str(&peers::python("questions.py", &[], &task.to_string())).expect("the answers are JSON")
}

/// Are two answers the same, as far as sums in another order and of another width can be?
fn agree(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| agree(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, one)| other.get(name).is_some_and(|o| agree(one, o)))
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= 1e-6 * one.abs().max(1.0)
        }
        _ => one == other,
    }
}

#[test]
fn the_questions_of_the_document_have_one_answer_in_three_languages() {
    let document = std::fs::read_to_string(root().join("artifacts/README.md")).unwrap();
    let questions = questions(&document);
    assert_eq!(questions.len(), 10);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("artifacts");
    store::write(&root);
    let peers = answers_of_peers(directory.path(), &questions);
    assert_eq!(peers.len(), questions.len());
    for (question, peers) in questions.iter().zip(peers) {
        let answer = run("query", &root, &["--json", question.camflow]);
        assert!(answer.status.success(), "{}: {}", question.title, stderr(&answer));
        let answer: Value = serde_json::from_str(&stdout(&answer)).unwrap();
        assert!(!answer.as_array().unwrap().is_empty(), "{}: no answer", question.title);
        for language in ["python", "sql"] {
            let peer = &peers[language];
            assert!(agree(&answer, peer), "{}\ncamflow query: {answer:#}\n{language}: {peer:#}", question.title);
        }
    }
}
