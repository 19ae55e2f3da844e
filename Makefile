# The tools and the oldest Go, each pinned here and nowhere else.
GOLANGCI_LINT_VERSION = v2.15.0
GOFUMPT_VERSION       = v0.12.0
STATICCHECK_VERSION   = v0.8.2
OLDEST_GO             = go1.24.13

GOLANGCI_LINT = build/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOFUMPT       = build/bin/gofumpt-$(GOFUMPT_VERSION)
STATICCHECK   = build/bin/staticcheck-$(STATICCHECK_VERSION)
CLANG_FORMAT  = clang-format
CLANG_TIDY    = clang-tidy

CWARN    = -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
C_FILES  = $(shell find . -path ./build -prune -o -name '*.[ch]' -print)
# What layout's tests read is strange on purpose.
TIDY_C   = $(shell find . -name build -prune -o -name testdata -prune -o -name '*.c' -print)
# What calls C, or is called beside it.
CGO_PACKAGES = . ./sem ./pshared ./internal/locktest

COVERED  = . ./layout ./sem ./pshared
SHIMS    = shm_cgo.c sem/sem_cgo.c pshared/pshared_cgo.c
COVERAGE = 95

# Flags for every go test, such as -count=1 or -v.
TESTFLAGS ?=

.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## run the example of a Go parent and its child
	go run ./examples/parentchild/demo

.PHONY: demo-locks
demo-locks: ## run Go and C under each kind of lock; LIVE_DANGEROUSLY=1 leaves it out
	go run ./examples/locks/demo

# Tests. They need Go and a C compiler, and nothing else.

.PHONY: test
test: ## run all tests
	go test $(TESTFLAGS) ./...

.PHONY: repeat
repeat: ## run them five times, in random order
	go test $(TESTFLAGS) -count=5 -shuffle=on ./...

.PHONY: race
race: ## run them with the race detector
	go test $(TESTFLAGS) -race ./...

.PHONY: asan
asan: ## run those that call C with gcc's address sanitizer
	CC=gcc go test $(TESTFLAGS) -asan $(CGO_PACKAGES)

# All C with gcc's and clang's sanitizer of undefined behaviour, and the C peers
# with that of addresses, which must find no leak either. Left out are a test
# that builds with -race, which brings a second sanitizer, the same C again in
# 32 bits, for its time, and those of the benchmark that only call Go. Some tests
# want a fault to be a SIGSEGV, others preload a library.
UBSAN = -fsanitize=undefined -fno-sanitize-recover=undefined

.PHONY: sanitize-gcc
sanitize-gcc sanitize-clang: export SHM_TEST_CFLAGS = -fsanitize=address
sanitize-gcc sanitize-clang: export ASAN_OPTIONS = exitcode=99:handle_segv=0:verify_asan_link_order=0
sanitize-gcc sanitize-clang: export UBSAN_OPTIONS = exitcode=99:print_stacktrace=1
sanitize-gcc: ## run those that call C with gcc's sanitizers of C
	CC='gcc $(UBSAN)' go test $(TESTFLAGS) -skip '^Test(RaceDetector|OtherWidth)$$' $(CGO_PACKAGES)
	cd bench && CC='gcc $(UBSAN)' go test $(TESTFLAGS) -run 'Groups|Pairs|Peer' ./...

.PHONY: sanitize-clang
sanitize-clang: ## the same with clang's
	CC='clang $(UBSAN)' go test $(TESTFLAGS) -skip '^Test(RaceDetector|OtherWidth)$$' $(CGO_PACKAGES)
	cd bench && CC='clang $(UBSAN)' go test $(TESTFLAGS) -run 'Groups|Pairs|Peer' ./...

# valgrind refuses an shmat without permission with another errno than the kernel
# (TestInterop's permissions, 168 of TestConformance), and is /proc/self/exe itself
# (162). C beside C would show nothing that C beside Go does not.
.PHONY: valgrind
valgrind: ## run tests of Go beside C with the C peers under valgrind: no error, no leak
	SHM_TEST_CHECKER='valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --vgdb=no' \
		go test $(TESTFLAGS) . ./sem ./pshared \
		-run 'Interop|Conformance|Control|Key|Wait|Undo|OfC|NotShared|OwnerDied|ThreadEnds' \
		-skip '^TestInterop$$/^C_C$$|^TestInterop$$/^Go_C$$/^permissions$$|^TestConformance$$/^(162|168)$$'

.PHONY: checkptr
checkptr: ## run those that call C with Go's checks of unsafe pointers, and of pointers given to C
	GOEXPERIMENT=cgocheck2 go test $(TESTFLAGS) -gcflags=all=-d=checkptr $(CGO_PACKAGES)

.PHONY: system
system: ## run the tests that change the whole system for an instant: run nothing else beside
	SHM_TEST_SYSTEM=1 go test $(TESTFLAGS) -run 'TestConformance/^(25|47|59|139|148|183|205|222)$$' -v .

.PHONY: cross
cross: ## build for the other ports and run the tests there, under qemu-user where need be; cross-PORT: for one
	.ci/cross

cross-%:
	.ci/cross $*

.PHONY: musl
musl: ## run those that call C with musl instead of glibc, linked dynamically and statically
	.ci/musl

.PHONY: oldest
oldest: ## build, vet and run them with the oldest Go supported
	GOTOOLCHAIN=$(OLDEST_GO) go build ./...
	GOTOOLCHAIN=$(OLDEST_GO) go vet ./...
	GOTOOLCHAIN=$(OLDEST_GO) go test $(TESTFLAGS) ./...

# Root's home, caches and clone are closed to nobody: a copy of the tree, with
# its dependencies inside, and a home of its own.
.PHONY: unprivileged
unprivileged: ## run them as an ordinary user, when root
	@if [ "$$(id -u)" -ne 0 ]; then \
		echo 'not root: these are the ordinary tests'; \
		exec go test $(TESTFLAGS) ./...; \
	fi; \
	set -e; \
	dir=$$(mktemp -d); \
	trap 'rm -rf "$$dir"' EXIT; \
	mkdir "$$dir/src" "$$dir/tmp"; \
	tar -c --exclude=./.git --exclude=./build . | tar -x -C "$$dir/src"; \
	cd "$$dir/src"; \
	go mod vendor; \
	chown -R 65534:65534 "$$dir"; \
	echo 'as nobody: go test $(TESTFLAGS) ./...'; \
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		env HOME="$$dir" TMPDIR="$$dir/tmp" go test $(TESTFLAGS) ./...

# Much is tested in processes that the tests start, some of them as nobody:
# each leaves its own counts.
.PHONY: cover
cover: ## show the statement coverage of each package; it fails below the bar
	@mkdir -p build
	@set -e; \
	dir=$$(mktemp -d); \
	trap 'rm -rf "$$dir"' EXIT; \
	chmod 777 "$$dir"; \
	go test $(TESTFLAGS) -cover $(COVERED) -args -test.gocoverdir="$$dir"; \
	go tool covdata textfmt -i="$$dir" -o build/cover.out; \
	go tool cover -func=build/cover.out | grep -v '100.0%$$'; \
	go tool covdata percent -i="$$dir" | awk '{ print } \
		/coverage:/ && $$3 + 0 < $(COVERAGE) { print "the bar is $(COVERAGE)%"; low = 1 } END { exit low }'

# clang's, for it counts in a mapped file: nothing is lost of processes that are
# killed, or that end as Go's do, without the libc.
COVER_C = -O0 -g -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation

.PHONY: cover-c
cover-c: ## show the line coverage of our C in Go, and the lines left out; it fails below the bar
	@set -e; \
	dir=$$(mktemp -d); \
	trap 'rm -rf "$$dir"' EXIT; \
	chmod 777 "$$dir"; \
	export CC=clang CGO_CFLAGS='$(COVER_C)' CGO_LDFLAGS=-fprofile-instr-generate; \
	export LLVM_PROFILE_FILE="$$dir/%c%m.profraw"; \
	for package in . ./sem ./pshared; do \
		object="$$dir/$${package#./}.test"; \
		objects="$$objects$${objects:+ -object }$$object"; \
		go test $(TESTFLAGS) -count=1 -o "$$object" $$package; \
	done; \
	llvm-profdata merge -o "$$dir/counts" "$$dir"/*.profraw; \
	cover() { llvm-cov $$1 $$objects -instr-profile="$$dir/counts" $(SHIMS:%=$(CURDIR)/%); }; \
	cover show | grep -E '^/|\| *0\|'; \
	cover report | awk '/_cgo\.c / { print $$1 ": " $$10 " of the lines"; \
		if ($$10 + 0 < $(COVERAGE)) { print "the bar is $(COVERAGE)%"; low = 1 } } END { exit low || NR < 5 }'

.PHONY: check-all
check-all: ## run every check of every port: 40 minutes; it installs what it lacks
	.ci/run all

.PHONY: soak
soak: ## run the long campaigns, which take hours
	SHM_SOAK=1 go test $(TESTFLAGS) -count=1 -run Soak -v -timeout 60m .
	SEM_SOAK=1 go test $(TESTFLAGS) -count=1 -run GetOrCreate -v -timeout 60m ./sem
	LOCK_SOAK=1 go test $(TESTFLAGS) -count=1 -run 'Kill|Storm' -v -timeout 4h ./internal/locktest

.PHONY: authority
authority: ## compare every struct of the system's headers with pahole and with generated Go
	LAYOUT_AUTHORITY=1 go test $(TESTFLAGS) -count=1 -run TestAuthority -v ./layout

# One worker: what an input has made and left is counted in the namespace.
FUZZED   = . ./layout ./sem ./pshared
FUZZTIME = 5m

.PHONY: fuzz
fuzz: ## fuzz every fuzz test, each for FUZZTIME, which is five minutes
	@set -e; for package in $(FUZZED); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -parallel 1 $$package; \
		done; \
	done

.PHONY: fuzz-quick
fuzz-quick: FUZZTIME = 10s
fuzz-quick: fuzz ## the same, for ten seconds

# Speed. bench is a module of its own: what it needs is not the library's.

.PHONY: bench
bench: ## measure this package beside C and everyone else, into bench/RESULTS.md
	cd bench && go run .

.PHONY: bench-quick
bench-quick: ## measure less, in a minute, and print it
	cd bench && go run . -quick

.PHONY: bench-test
bench-test: ## test the benchmark itself
	cd bench && go test $(TESTFLAGS) ./...

# What the code looks like.

.PHONY: lint
lint: lint-go lint-c tidy-check ## check Go, C and go.mod

.PHONY: lint-go
lint-go: tools ## vet, golangci-lint, staticcheck, gofumpt
	for module in . bench; do \
		(cd $$module && go vet ./... && \
			$(CURDIR)/$(GOLANGCI_LINT) run && $(CURDIR)/$(STATICCHECK) ./...) || exit; \
	done
	@list=$$($(GOFUMPT) -l .) && echo "$$list" && test -z "$$list"

.PHONY: lint-c
lint-c: ## clang-format, every warning of gcc and (if there is one) clang, clang-tidy
	$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)
	gcc $(CWARN) -fsyntax-only $(filter %.c,$(C_FILES))
	if command -v clang >/dev/null; then clang $(CWARN) -fsyntax-only $(filter %.c,$(C_FILES)); fi
	@# A file each: the analyzer of LLVM 14 forgets va_start after the first.
	@for file in $(TIDY_C); do \
		out=$$($(CLANG_TIDY) --quiet $$file -- $(filter-out -Werror,$(CWARN)) 2>&1) || \
			{ echo "$$out"; exit 1; }; \
	done

.PHONY: tidy-check
tidy-check: ## go.mod is tidy and asks for go-cmp only
	go mod tidy -diff
	test "$$(go list -m -f '{{if not .Main}}{{.Path}}{{end}}' all)" = github.com/google/go-cmp

# Tools. A file name carries its version, so that each is built once.

.PHONY: tools
tools: $(GOLANGCI_LINT) $(GOFUMPT) $(STATICCHECK) ## build the Go tools into build/bin

build/bin/golangci-lint-%:
	GOBIN=$(CURDIR)/build/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	mv build/bin/golangci-lint $@

build/bin/gofumpt-%:
	GOBIN=$(CURDIR)/build/bin go install mvdan.cc/gofumpt@$*
	mv build/bin/gofumpt $@

build/bin/staticcheck-%:
	GOBIN=$(CURDIR)/build/bin go install honnef.co/go/tools/cmd/staticcheck@$*
	mv build/bin/staticcheck $@

.PHONY: clean
clean: ## remove build
	rm -rf build
