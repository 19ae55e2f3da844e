//go:build linux && (amd64 || arm64 || loong64 || mips64le || riscv64)

// Ntpshm is both ends of an NTP reference clock over System V shared memory,
// as gpsd (writing), ntpd and chrony (reading) have it:
//
//	ntpshm write UNIT         sends samples, of which it reads a line each
//	ntpshm read UNIT [COUNT]  prints samples, each as it comes
//
// A line is what the clock said, what the system's clock said at that moment,
// the leap warning (0 none, 1 a second is inserted, 2 deleted, 3 the clock is
// not synchronized) and the precision as a power of two:
//
//	1735689600.123456789 1735689600.123460000 0 -20
//
// ntpshm.go and ntpshm.c are one program twice: the same functions in the same
// order, and either reads what the other writes. To see it:
//
//	go build -o /tmp/go-side ./examples/ntpshm
//	cc -o /tmp/c-side examples/ntpshm/ntpshm.c
//	while sleep 1; do now=$(date +%s.%N); echo "$now $now 0 -10"; done | /tmp/go-side write 2 &
//	/tmp/c-side read 2 5
//
// gpsd's ntpshmmon shows the same samples, and with "refclock SHM 2" in its
// configuration chronyd sets the system's clock by them. The segment stays
// when both have ended; ipcrm -M 0x4e545032 removes it.
package main

// On other ports, struct shmTime is another.
//go:generate go run github.com/gosysv/shm/cmd/shm gen -header shmtime.h -o shmtime.go -tags "linux && (amd64 || arm64 || loong64 || mips64le || riscv64)" "struct shmTime"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
)

// base is the key of unit 0: "NTP0".
const base shm.Key = 0x4e545030

// sample is a comparison of two clocks.
type sample struct {
	clock     time.Time // what the reference clock said
	received  time.Time // what the system's clock said then
	leap      int32
	precision int32
}

func (s sample) String() string {
	return fmt.Sprintf("%d.%09d %d.%09d %d %d",
		s.clock.Unix(), s.clock.Nanosecond(), s.received.Unix(), s.received.Nanosecond(), s.leap, s.precision)
}

// parse reads what String has written.
func parse(line string) (sample, error) {
	var s sample
	var sec, nsec [2]int64
	_, err := fmt.Sscanf(line, "%d.%9d %d.%9d %d %d", &sec[0], &nsec[0], &sec[1], &nsec[1], &s.leap, &s.precision)
	s.clock, s.received = time.Unix(sec[0], nsec[0]), time.Unix(sec[1], nsec[1])
	if err != nil || s.String() != line {
		return s, fmt.Errorf("not a sample: %s", line)
	}
	return s, nil
}

// unit is a unit's segment.
type unit struct {
	mem  *shm.Attachment
	time *ShmTime
}

// open attaches a unit's segment. Whoever comes first makes it, the reader or
// the writer: new, it is full of zeros, which is to say that no sample is
// valid.
func open(number int) (*unit, error) {
	// Any user may be the clock of unit 2 and on, if NTP is configured to
	// listen.
	perm := shm.GetFlag(0o666)
	if number < 2 {
		perm = 0o600
	}
	id, _, err := shm.GetOrCreate(base+shm.Key(number), int(unsafe.Sizeof(ShmTime{})), perm)
	if err != nil {
		return nil, err
	}
	mem, err := id.Attach(0)
	if err != nil {
		return nil, err
	}
	u := &unit{mem: mem}
	if err = u.distrust(perm); err == nil {
		u.time, err = shm.View[ShmTime](mem, 0)
	}
	if err != nil {
		return nil, errors.Join(err, mem.Detach())
	}
	return u, nil
}

// distrust is an error unless the segment can be trusted: everybody knows the
// key, and anybody may have made a segment of it, before. It asks when the
// segment is attached: before that, the id might become another segment's.
func (u *unit) distrust(perm shm.GetFlag) error {
	ds, err := u.mem.Stat()
	if err != nil {
		return err
	}
	// A creator keeps its rights when it gives the segment to another owner.
	for _, uid := range []uint32{ds.Perm.UID, ds.Perm.CUID} {
		if uid != 0 && int(uid) != os.Geteuid() {
			return fmt.Errorf("segment %d is in the hands of uid %d", u.mem.ID(), uid)
		}
	}
	if writable := ds.Perm.Mode & 0o022; writable&^shm.Mode(perm) != 0 {
		return fmt.Errorf("segment %d has mode %v: others can write to it", u.mem.ID(), ds.Perm.Mode)
	}
	if ds.Removed() {
		return fmt.Errorf("segment %d was removed meanwhile", u.mem.ID())
	}
	return nil
}

func (u *unit) close() error { return u.mem.Detach() }

// The order of loads and stores is all the protocol there is. The C side has
// volatile members and fences for it. Go has no fence: its atomic operations
// keep their order among each other, but others may move across them. So the
// payload is loaded and stored by atomic operations too.

// write puts a sample in the place of the one before. A unit has one writer.
func (u *unit) write(s sample) {
	t := u.time
	// A reader that has seen count change shall not find the old valid.
	atomic.StoreInt32(&t.Valid, 0)
	atomic.AddInt32(&t.Count, 1)
	atomic.StoreInt32(&t.Mode, 1)
	atomic.StoreInt64(&t.ClockTimeStampSec, s.clock.Unix())
	atomic.StoreInt32(&t.ClockTimeStampUSec, int32(s.clock.Nanosecond()/1000))
	atomic.StoreUint32(&t.ClockTimeStampNSec, uint32(s.clock.Nanosecond()))
	atomic.StoreInt64(&t.ReceiveTimeStampSec, s.received.Unix())
	atomic.StoreInt32(&t.ReceiveTimeStampUSec, int32(s.received.Nanosecond()/1000))
	atomic.StoreUint32(&t.ReceiveTimeStampNSec, uint32(s.received.Nanosecond()))
	atomic.StoreInt32(&t.Leap, s.leap)
	atomic.StoreInt32(&t.Precision, s.precision)
	atomic.AddInt32(&t.Count, 1)
	atomic.StoreInt32(&t.Valid, 1)
}

var (
	errNone = errors.New("no sample that was not read before")
	errTorn = errors.New("a sample was being written")
)

// read takes the sample.
//
// It cannot tell one that it has read entirely between two steps of a writer
// that leaves valid set meanwhile, which the protocol allows. Whether count is
// odd does not help: a writer that was killed may have left it so.
func (u *unit) read() (sample, error) {
	t := u.time
	count := atomic.LoadInt32(&t.Count)
	if atomic.LoadInt32(&t.Valid) == 0 {
		return sample{}, errNone
	}
	if mode := atomic.LoadInt32(&t.Mode); mode != 1 {
		return sample{}, fmt.Errorf("mode %d does not tell torn samples", mode)
	}
	s := sample{
		clock: stamp(atomic.LoadInt64(&t.ClockTimeStampSec), atomic.LoadInt32(&t.ClockTimeStampUSec),
			atomic.LoadUint32(&t.ClockTimeStampNSec)),
		received: stamp(atomic.LoadInt64(&t.ReceiveTimeStampSec), atomic.LoadInt32(&t.ReceiveTimeStampUSec),
			atomic.LoadUint32(&t.ReceiveTimeStampNSec)),
		leap:      atomic.LoadInt32(&t.Leap),
		precision: atomic.LoadInt32(&t.Precision),
	}
	if atomic.LoadInt32(&t.Count) != count {
		return sample{}, errTorn
	}
	// If the next one has come since, it is lost, but not torn.
	atomic.StoreInt32(&t.Valid, 0)
	return s, nil
}

// stamp makes a time. Old writers do not fill the nanoseconds in.
func stamp(sec int64, usec int32, nsec uint32) time.Time {
	if finer := int64(nsec) - int64(usec)*1000; finer >= 0 && finer < 1000 {
		return time.Unix(sec, int64(nsec))
	}
	return time.Unix(sec, int64(usec)*1000)
}

// send writes the samples of its input.
func send(u *unit, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		s, err := parse(lines.Text())
		if err != nil {
			return err
		}
		u.write(s)
	}
	return lines.Err()
}

// receive prints as many samples as it shall. There is nothing that would wake
// it: it looks every millisecond.
func receive(u *unit, w io.Writer, samples int) error {
	for samples > 0 {
		s, err := u.read()
		switch {
		case err == nil:
			if _, err := fmt.Fprintln(w, s); err != nil {
				return err
			}
			samples--
		case errors.Is(err, errNone) || errors.Is(err, errTorn):
			time.Sleep(time.Millisecond)
		default:
			return err
		}
	}
	return nil
}

func run(args []string) error {
	if len(args) < 2 || len(args) > 3 || args[0] != "read" && (args[0] != "write" || len(args) == 3) {
		return errors.New("usage: ntpshm write UNIT | read UNIT [COUNT]")
	}
	number, err := strconv.ParseUint(args[1], 10, 8)
	if err != nil {
		return fmt.Errorf("not a unit: %s", args[1])
	}
	samples := uint64(1<<31 - 1)
	if len(args) == 3 {
		if samples, err = strconv.ParseUint(args[2], 10, 31); err != nil {
			return fmt.Errorf("not a count: %s", args[2])
		}
	}
	u, err := open(int(number))
	if err != nil {
		return err
	}
	if args[0] == "write" {
		err = send(u, os.Stdin)
	} else {
		err = receive(u, os.Stdout, int(samples))
	}
	return errors.Join(err, u.close())
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ntpshm:", err)
		os.Exit(1)
	}
}
