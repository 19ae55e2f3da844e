// Parentchild is the classic exchange over System V shared memory: the parent
// makes a segment, writes a greeting into it, starts the child and waits for
// it; the child reads the greeting and writes an answer in its place.
//
// parentchild.go and parentchild.c are one program twice: the same functions
// in the same order. Either can be the parent of either. To see all four
// pairings:
//
//	go run ./examples/parentchild/demo
//
// By hand, with any file for the key:
//
//	go build -o /tmp/go-side ./examples/parentchild
//	cc -o /tmp/c-side examples/parentchild/parentchild.c
//	/tmp/go-side parent /tmp/c-side /etc/passwd
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/gosysv/shm"
)

const (
	project  = 'S' // with the file, makes the key
	size     = 4096
	greeting = "Hello from parent!"
	answer   = "Hello from child!"
)

var stdout = bufio.NewWriter(os.Stdout)

// say prints a line: who it is, and what it did.
func say(role, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	// An error is kept until the flush.
	_, _ = fmt.Fprintf(stdout, "%-6s  Go  pid %d  %s\n", role, os.Getpid(), line)
}

// nattch tells how many attachments the segment has, of all processes.
func nattch(id shm.ID) (uint, error) {
	ds, err := id.Stat()
	if err != nil {
		return 0, err
	}
	return ds.Nattch, nil
}

// attach makes the segment a part of this process's memory.
func attach(role string, id shm.ID) (*shm.Attachment, error) {
	before, err := nattch(id)
	if err != nil {
		return nil, err
	}
	mem, err := id.Attach(0)
	if err != nil {
		return nil, err
	}
	after, err := nattch(id)
	if err != nil {
		return nil, err
	}
	say(role, "attached at %p  nattch %d -> %d", mem.Pointer(), before, after)
	return mem, nil
}

// get copies the string out of the segment, whose bytes are gone after the
// detach. The other side may have left out the NUL.
func get(mem *shm.Attachment) string {
	text, _, _ := bytes.Cut(mem.Bytes(), []byte{0})
	return string(text)
}

// put writes the string and, because C strings end with one, a NUL.
func put(mem *shm.Attachment, text string) {
	copy(mem.Bytes(), text+"\x00")
}

// detach gives the memory up. The segment stays.
func detach(role string, id shm.ID, mem *shm.Attachment) error {
	before, err := nattch(id)
	if err != nil {
		return err
	}
	if err := mem.Detach(); err != nil {
		return err
	}
	after, err := nattch(id)
	if err != nil {
		return err
	}
	say(role, "detached  nattch %d -> %d", before, after)
	return nil
}

// run starts the child and waits until it has ended. This is all the
// synchronization there is: the two never use the segment at the same time.
func run(program string, id shm.ID) error {
	// The child's lines shall come after these.
	if err := stdout.Flush(); err != nil {
		return err
	}
	cmd := exec.Command(program, "child", strconv.Itoa(int(id)))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("child: %w", err)
	}
	return nil
}

// exchange is what the parent does with its segment. It need not detach when
// it fails: the kernel does that when the process ends.
func exchange(id shm.ID, program string) error {
	mem, err := attach("parent", id)
	if err != nil {
		return err
	}
	put(mem, greeting)
	say("parent", "wrote \"%s\"", greeting)

	if err := run(program, id); err != nil {
		return err
	}

	text := get(mem)
	n, err := nattch(id)
	if err != nil {
		return err
	}
	say("parent", "read \"%s\"  nattch %d", text, n)
	if text != answer {
		return fmt.Errorf("not the answer: \"%s\"", text)
	}
	return detach("parent", id, mem)
}

// parent makes the segment and removes it.
func parent(program, file string) error {
	key, err := shm.Ftok(file, project)
	if err != nil {
		return err
	}
	// Without IPC_EXCL it might be somebody else's.
	id, err := shm.Get(key, size, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if err != nil {
		return err
	}
	say("parent", "shmget(%v) made segment %d of %d bytes", key, id, size)

	err = exchange(id, program)

	// Failed or not: a segment that nobody removes outlives them all.
	if e := id.Remove(); e != nil {
		return errors.Join(err, e)
	}
	say("parent", "removed segment %d", id)
	return err
}

// child is what the parent starts.
func child(number string) error {
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return fmt.Errorf("not an id: %s", number)
	}
	id := shm.ID(n)

	mem, err := attach("child", id)
	if err != nil {
		return err
	}
	text := get(mem)
	say("child", "read \"%s\"", text)
	if text != greeting {
		return fmt.Errorf("not the greeting: \"%s\"", text)
	}
	put(mem, answer)
	say("child", "wrote \"%s\"", answer)
	return detach("child", id, mem)
}

func main() {
	// A reader that goes away shall not kill a parent that has a segment
	// to remove: the flush reports it.
	signal.Ignore(syscall.SIGPIPE)

	var err error
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "parent":
		err = parent(args[1], args[2])
	case len(args) == 2 && args[0] == "child":
		err = child(args[1])
	default:
		err = errors.New("usage: parentchild parent CHILD FILE | child ID")
	}
	if e := stdout.Flush(); err == nil {
		err = e
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "parentchild:", err)
		os.Exit(1)
	}
}
