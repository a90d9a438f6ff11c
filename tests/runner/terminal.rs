//! A command on a terminal, and what one sees there: `script` gives it one, and the bytes that it sends are read as a
//! terminal reads them.

use std::num::NonZero;
use std::process::{Child, Command, Stdio};

use crate::world::World;

/// A terminal on which a command runs.
pub struct Terminal {
    pub columns: u16,
    pub rows: u16,
    pub env: &'static [(&'static str, &'static str)],
}

/// What a command sent to its terminal.
pub struct Recording {
    pub code: Option<i32>,
    pub bytes: Vec<u8>,
    columns: u16,
    rows: u16,
}

impl Terminal {
    pub const USUAL: Self = Self { columns: 110, rows: 40, env: &[] };

    /// Starts camflow there.
    pub fn start(&self, world: &World, args: &[&str]) -> Child {
        let Self { columns, rows, env } = self;
        let line =
            format!("stty columns {columns} rows {rows}; exec {} {}", env!("CARGO_BIN_EXE_camflow"), args.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.env("CAMFLOW_BIN_DIR", world.bin()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(env.iter().copied()).current_dir(world.path("."));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("script (util-linux) starts")
    }

    /// Waits for its end.
    pub fn end(&self, child: Child) -> Recording {
        let output = child.wait_with_output().expect("script ends");
        let (code, bytes) = (output.status.code(), output.stdout);
        Recording { code, bytes, columns: self.columns, rows: self.rows }
    }

    pub fn camflow(&self, world: &World, args: &[&str]) -> Recording {
        self.end(self.start(world, args))
    }
}

impl Recording {
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    fn parser(&self) -> vt100::Parser {
        let size = |size| NonZero::new(size).expect("a terminal has a size");
        vt100::Parser::new(size(self.rows), size(self.columns), 0)
    }

    /// What one sees in the end.
    pub fn last(&self) -> String {
        let mut parser = self.parser();
        parser.process(&self.bytes);
        self.text(&parser)
    }

    /// What one sees before each time that the cursor goes up to draw anew, and in the end.
    pub fn pictures(&self) -> Vec<String> {
        let mut parser = self.parser();
        let mut pictures = Vec::new();
        for piece in self.bytes.split_inclusive(|byte| *byte == b'A') {
            parser.process(piece.strip_suffix(b"A").unwrap_or(piece));
            // An escape sequence is not seen before it is whole.
            pictures.push(self.text(&parser));
            parser.process(&piece[piece.strip_suffix(b"A").unwrap_or(piece).len()..]);
        }
        pictures.dedup();
        pictures
    }

    fn text(&self, parser: &vt100::Parser) -> String {
        let lines: Vec<_> = parser.screen().rows(0, self.columns).map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Are there colours?
    pub fn is_coloured(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        text.split('\u{1b}')
            .any(|piece| piece.starts_with("[3") && piece.split('m').next().is_some_and(|m| m.len() == 3))
    }
}
