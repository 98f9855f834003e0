//! What the doctor says: one finding, how bad it is, and what mends it.

use serde_json::{Value, json};

/// How bad a finding is. In ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Could be better; nothing is at risk.
    Hint,
    /// Something is at risk, or slow for a reason that can be mended.
    Warning,
    /// Data is damaged, or will be.
    Problem,
}

impl Severity {
    /// The word for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at: `structure`, `space`, `readers`, `log`, `disk`, `configuration`.
    pub area: &'static str,
    /// A stable name for scripts.
    pub code: &'static str,
    /// What was found, in a sentence.
    pub text: String,
    /// The command, or the act, that mends it.
    pub mend: Option<String>,
}

impl Finding {
    pub fn new(severity: Severity, area: &'static str, code: &'static str, text: impl Into<String>) -> Self {
        Self { severity, area, code, text: text.into(), mend: None }
    }

    /// Adds what mends it.
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.word(),
            "area": self.area,
            "code": self.code,
            "text": self.text,
            "mend": self.mend,
        })
    }

    /// The finding in one line, and what mends it in another.
    pub fn to_text(&self) -> String {
        let line = format!("{:<8} {:<14} {}", self.severity.word(), self.area, self.text);
        match &self.mend {
            Some(mend) => format!("{line}\n{:<24}mend: {mend}", ""),
            None => line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_well() {
        let finding = Finding::new(Severity::Hint, "space", "free_space", "half of the file is free");
        assert_eq!(finding.to_text(), "hint     space          half of the file is free");
        let finding = finding.mend("llmdb compact");
        assert!(finding.to_text().ends_with("\n                        mend: llmdb compact"));
        assert_eq!(finding.to_json()["severity"], "hint");
        assert!(Severity::Problem > Severity::Warning && Severity::Hint > Severity::Good);
    }
}
