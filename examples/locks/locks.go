// Locks has two processes, a parent and its child, that increment one counter
// in a segment, with words that depend on it and a checksum over all, under one
// of two kinds of lock: "sem" is a System V semaphore with SEM_UNDO, "mutex" a
// robust pthread_mutex_t in the segment. Then another child is killed while it
// has the lock and is half through, and the parent goes on. The third kind,
// "none", leaves the lock out, and the structure does not survive that.
//
// locks.go and locks.c are one program twice: the same functions in the same
// order. Either can be the parent of the other. To see it:
//
//	go run ./examples/locks/demo
//	LIVE_DANGEROUSLY=1 go run ./examples/locks/demo
//
// By hand, with any file for the key:
//
//	go build -o /tmp/go-side ./examples/locks
//	cc -pthread -o /tmp/c-side examples/locks/locks.c
//	/tmp/go-side parent mutex /tmp/c-side /etc/passwd
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"structs"
	"syscall"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

const (
	project = 'L'                    // with the file, makes the key
	spell   = 250 * time.Millisecond // how long both increment
)

// record is struct record of locks.c.
type record struct {
	_ structs.HostLayout

	Mutex pshared.MutexT // of the kind "mutex"
	Ready pshared.SemT   // posted by a child, once
	Semid int32          // the set, of the kind "sem"
	_     [4]byte
	Tally [2]tally // the parent's, the child's: of nobody else

	// What the lock guards.
	Last  uint64 // who has incremented last: 1 the parent, 2 the child
	Count uint64
	Words [8]uint64 // 1 to 8 times Count
	Sum   uint64    // over Count and Words
}

// tally is what a process has done and seen.
type tally struct {
	Increments uint64
	Changes    uint64 // increments after one by the other
	Torn       uint64 // how often the checksum was wrong
}

// errCorrupted is what the parent ends with, in status 2, when the structure
// shows that the lock has failed or was left out.
var errCorrupted = errors.New("the structure is corrupted")

var stdout = bufio.NewWriter(os.Stdout)

// say prints a line: who it is, and what it did.
func say(role, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	// An error is kept until the flush.
	_, _ = fmt.Fprintf(stdout, "%-6s  Go  pid %d  %s\n", role, os.Getpid(), line)
}

// checksum is what Sum should be.
func (r *record) checksum() uint64 {
	sum := r.Count
	for _, w := range r.Words {
		sum = sum*31 + w
	}
	return sum
}

// begin is the first half of an increment, and finish the second. Whoever looks
// in between finds the structure torn.
func (r *record) begin() {
	r.Count++
	for i := range 4 {
		r.Words[i] += uint64(i + 1)
	}
}

func (r *record) finish() {
	for i := 4; i < 8; i++ {
		r.Words[i] += uint64(i + 1)
	}
	r.Sum = r.checksum()
}

// mend completes an increment whose process died: all follows from Count, which
// is written first.
func (r *record) mend() {
	for i := range r.Words {
		r.Words[i] = r.Count * uint64(i+1)
	}
	r.Sum = r.checksum()
}

// wrong is how many words do not follow from Count.
func (r *record) wrong() int {
	n := 0
	for i, w := range r.Words {
		if w != r.Count*uint64(i+1) {
			n++
		}
	}
	return n
}

// side is what a process has of the segment.
type side struct {
	role, kind string
	*record
	mine  *tally
	me    uint64         // in Last
	sem   *sem.Mutex     // of the kind "sem"
	mutex *pshared.Mutex // of the kind "mutex"
	ready *pshared.Sem
}

// lock takes the lock, and tells whether its owner died: of a mutex one learns
// that, of a semaphore not.
func (s *side) lock() (died bool, err error) {
	switch s.kind {
	case "sem":
		return false, s.sem.Lock()
	case "mutex":
		err := s.mutex.Lock()
		if errors.Is(err, pshared.ErrOwnerDied) {
			return true, nil // and this process has it
		}
		return false, err
	}
	return false, nil // living dangerously
}

func (s *side) unlock() error {
	switch s.kind {
	case "sem":
		return s.sem.Unlock()
	case "mutex":
		return s.mutex.Unlock()
	}
	return nil
}

// enter takes the lock and, if the structure is torn, mends it.
func (s *side) enter() error {
	died, err := s.lock()
	if err != nil {
		return err
	}
	torn := s.Sum != s.checksum()
	if torn {
		s.mine.Torn++
	}
	if s.kind == "none" {
		return nil // whoever tears it is alive, and goes on
	}
	if torn {
		told := "told nothing"
		if died {
			told = "told that its owner died"
		}
		say(s.role, "has the lock: %s; mends what is torn", told)
		s.mend()
	}
	if died {
		return s.mutex.Consistent()
	}
	return nil
}

// turn is one increment under the lock.
func (s *side) turn() error {
	if err := s.enter(); err != nil {
		return err
	}
	s.begin()
	s.finish()
	if s.Last != 0 && s.Last != s.me {
		s.mine.Changes++
	}
	s.Last = s.me
	s.mine.Increments++
	return s.unlock()
}

// work increments for a while.
func (s *side) work() error {
	for start := time.Now(); time.Since(start) < spell; {
		if err := s.turn(); err != nil {
			return err
		}
	}
	t := s.mine
	say(s.role, "%d increments, %d after one by the other; torn seen: %d", t.Increments, t.Changes, t.Torn)
	return nil
}

// attach makes the segment a part of this process's memory. Nothing but the
// end of the process detaches it.
func attach(id shm.ID) (*shm.Attachment, *record, error) {
	a, err := id.Attach(0)
	if err != nil {
		return nil, nil, err
	}
	r, err := shm.View[record](a, 0)
	return a, r, err
}

// initialize makes the lock, before anybody else is told of the segment.
func initialize(kind string, key shm.Key, a *shm.Attachment, r *record) error {
	r.Semid = -1
	if _, err := pshared.InitSem(a, int(unsafe.Offsetof(r.Ready)), 0); err != nil {
		return err
	}
	switch kind {
	case "sem":
		set, created, err := sem.GetOrCreate(key, 0o600, 1)
		if err != nil {
			return err
		}
		if !created {
			return fmt.Errorf("somebody else's: semaphore set %d", set)
		}
		r.Semid = int32(set)
		say("parent", "made semaphore set %d", set)
	case "mutex":
		_, err := pshared.InitMutex(a, int(unsafe.Offsetof(r.Mutex)))
		return err
	}
	return nil
}

// open opens what the parent has initialised.
func open(role, kind string, a *shm.Attachment, r *record) (s *side, err error) {
	s = &side{role: role, kind: kind, record: r, mine: &r.Tally[0], me: 1}
	if role != "parent" {
		s.mine, s.me = &r.Tally[1], 2
	}
	switch kind {
	case "sem":
		s.sem = sem.NewMutex(sem.ID(r.Semid), 0)
	case "mutex":
		s.mutex, err = pshared.OpenMutex(a, int(unsafe.Offsetof(r.Mutex)))
	}
	if err != nil {
		return nil, err
	}
	s.ready, err = pshared.OpenSem(a, int(unsafe.Offsetof(r.Ready)))
	return s, err
}

// process is a child.
type process struct {
	*exec.Cmd
	ended context.Context // done when it has
	err   error           // how it did
}

// start starts a child.
func start(program, role, kind string, id shm.ID) (*process, error) {
	// The child's lines shall come after these.
	if err := stdout.Flush(); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, role, kind, strconv.Itoa(int(id)))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{Cmd: cmd, ended: ctx}
	go func() {
		p.err = cmd.Wait()
		cancel()
	}()
	return p, nil
}

// await waits until the child is ready. One that ends instead has failed.
func (p *process) await(s *side) error {
	err := s.ready.WaitContext(p.ended)
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if p.err != nil {
		return fmt.Errorf("child: %w", p.err)
	}
	return errors.New("child: ended before it was ready")
}

// together has the parent and a child increment at the same time.
func (s *side) together(program string, id shm.ID) error {
	p, err := start(program, "child", s.kind, id)
	if err != nil {
		return err
	}
	if err := p.await(s); err != nil {
		return err
	}
	if err := s.work(); err != nil {
		return err
	}
	<-p.ended.Done()
	if p.err != nil {
		return fmt.Errorf("child: %w", p.err)
	}
	return s.check(s.Tally[0].Increments+s.Tally[1].Increments, 0)
}

// death has a child killed while it has the lock, and goes on.
func (s *side) death(program string, id shm.ID) error {
	p, err := start(program, "victim", s.kind, id)
	if err != nil {
		return err
	}
	if err := p.await(s); err != nil {
		return err
	}
	if err := p.Process.Kill(); err != nil {
		return err
	}
	say(s.role, "kills process %d", p.Process.Pid)

	// No need to wait for its end: this waits for the lock.
	count := s.Count // the victim has begun with it
	for range 2 {
		if err := s.turn(); err != nil {
			return err
		}
	}
	<-p.ended.Done()
	return s.check(count+2, 1)
}

// check compares the counter with the increments that were made, and what was
// seen torn with what somebody's death explains. Nobody else uses the structure
// any more.
func (s *side) check(made, deaths uint64) error {
	sum := "right"
	if s.Sum != s.checksum() {
		sum = "wrong"
	}
	say(s.role, "counter %d after %d increments, %d lost; wrong words: %d; checksum %s",
		s.Count, made, made-s.Count, s.wrong(), sum)
	if s.Count != made || s.wrong() > 0 || sum != "right" || s.Tally[0].Torn+s.Tally[1].Torn != deaths {
		return errCorrupted
	}
	return nil
}

// both is all that the parent does with the lock.
func both(kind, program string, id shm.ID, a *shm.Attachment, r *record) error {
	s, err := open("parent", kind, a, r)
	if err != nil {
		return err
	}
	if err := s.together(program, id); err != nil || kind == "none" {
		return err
	}
	return s.death(program, id)
}

// exchange is what the parent does with its segment.
func exchange(kind, program string, key shm.Key, id shm.ID) error {
	a, r, err := attach(id)
	if err != nil {
		return err
	}
	err = initialize(kind, key, a, r)
	if err == nil {
		err = both(kind, program, id, a, r)
	}
	if r.Semid != -1 { // as with the segment: nobody else removes it
		err = errors.Join(err, sem.ID(r.Semid).Remove())
	}
	return err
}

// parent makes the segment and removes it.
func parent(kind, program, file string) error {
	key, err := shm.Ftok(file, project)
	if err != nil {
		return err
	}
	// Without IPC_EXCL it might be somebody else's.
	id, err := shm.Get(key, int(unsafe.Sizeof(record{})), shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if err != nil {
		return err
	}
	say("parent", "made segment %d", id)
	err = exchange(kind, program, key, id)
	// Failed or not: a segment that nobody removes outlives them all.
	return errors.Join(err, id.Remove())
}

// child increments with the parent.
func child(kind string, id shm.ID) error {
	a, r, err := attach(id)
	if err != nil {
		return err
	}
	s, err := open("child", kind, a, r)
	if err != nil {
		return err
	}
	if err := s.ready.Post(); err != nil {
		return err
	}
	return s.work()
}

// victim begins an increment, and waits to be killed.
func victim(kind string, id shm.ID) error {
	a, r, err := attach(id)
	if err != nil {
		return err
	}
	s, err := open("victim", kind, a, r)
	if err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	s.begin()
	say("victim", "has the lock, and is half through an increment")
	if err := stdout.Flush(); err != nil {
		return err
	}
	if err := s.ready.Post(); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	return errors.New("nobody has killed this process")
}

// run does what the arguments say.
func run(args []string) error {
	usage := errors.New("usage: locks parent KIND CHILD FILE | child|victim KIND ID; KIND is sem, mutex or none")
	if len(args) < 3 || args[1] != "sem" && args[1] != "mutex" && args[1] != "none" {
		return usage
	}
	role, kind := args[0], args[1]
	if role == "parent" && len(args) == 4 {
		return parent(kind, args[2], args[3])
	}
	if role != "child" && role != "victim" || len(args) != 3 {
		return usage
	}
	id, err := strconv.ParseInt(args[2], 10, 32)
	if err != nil {
		return fmt.Errorf("not an id: %s", args[2])
	}
	if role == "child" {
		return child(kind, shm.ID(id))
	}
	return victim(kind, shm.ID(id))
}

func main() {
	// A reader that goes away shall not kill a parent that has a segment
	// to remove: the flush reports it.
	signal.Ignore(syscall.SIGPIPE)

	err := run(os.Args[1:])
	if e := stdout.Flush(); err == nil {
		err = e
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "locks:", err)
	}
	switch {
	case errors.Is(err, errCorrupted):
		os.Exit(2)
	case err != nil:
		os.Exit(1)
	}
}
