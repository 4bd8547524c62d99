module mintls.dev/tests/bench/load

go 1.25
