//! The tour, as a person takes it, and into a pipe.
#![cfg(unix)]

mod talk;

use std::process::Stdio;

use talk::ruse;
use talk::tty::Terminal;

#[test]
fn a_learner_changes_something_and_sees_it() {
    let (terminal, mut talk) = Terminal::sized(&[], 80, 24);
    talk.expect("1 of 7. A trap");
    talk.expect("printed: ");
    talk.expect("trap [Enter: next, ? help] > ");
    talk.send("ebreak\n");
    talk.expect("breakpoint at");
    talk.send("e 3 frob\n");
    talk.expect("line 3: no instruction `frob`");
    talk.send("e 99 nop\n");
    talk.expect("a line is a number from 1 to");
    talk.send(&format!("{}\n", "x".repeat(500)));
    talk.expect("too long");
    talk.send("?\n");
    talk.expect("the lesson before");
    talk.send("\n");
    talk.expect("2 of 7. Memory");
    talk.expect("> ");
    talk.send("0x200000c3\n");
    talk.expect("store/AMO page fault");
    talk.send("b\n");
    talk.expect("1 of 7");
    talk.send("q\n");
    talk.ends(0);
    terminal.assert_restored();
}

#[test]
fn into_a_pipe_all_lessons_are_shown_and_no_question_asked() {
    let out = ruse(&[]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    let text = String::from_utf8(out.stdout).unwrap();
    for (number, words) in [
        (1, "trap to the handler"),
        (2, "walks from the table at"),
        (3, "machine timer interrupt"),
        (4, "THR of"),
        (5, "at byte 1048576: a sector"),
        (6, "who has 10.0.2.2?"),
        (7, "debug_console_write_byte"),
    ] {
        let at = text.find(&format!("{number} of 7.")).unwrap();
        let lesson = text[at..].replace('\n', " ");
        let words: Vec<_> = words.split(' ').collect();
        // Columns are wrapped, so word by word.
        for word in words {
            assert!(lesson.contains(word), "{number}: {word}");
        }
    }
    assert!(!text.contains('\u{1b}') && !text.contains("[Enter"));
    assert!(text.lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn lessons_have_names() {
    let list = ruse(&["tour", "--list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), 7);
    let one = ruse(&["tour", "uart"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8(one.stdout).unwrap().contains("4 of 7"));
    let wrong = ruse(&["tour", "magic"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(120));
    assert!(
        String::from_utf8(wrong.stderr)
            .unwrap()
            .contains("no such lesson")
    );
}
