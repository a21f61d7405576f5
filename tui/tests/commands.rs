//! The command line as people see it: help, lists, explanations, configuration, error messages and exit codes.

#[test]
fn commands() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
