//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
)

// What the kernel grants to whom, on a segment that is another user's and grants
// others nothing: to processes in C and in Go alike.

// owner is the user whose the segment is.
const owner = nobody - 1

// callers are the columns of the table.
var callers = []struct {
	name  string
	start func(t *testing.T, lang string) *peer
}{
	{"root", startAs},
	{"user", startAsNobody},
	{"userns", startAsUserNSRoot},
	{"-OWNER", startWithout(capIPCOwner, nobody)},
	{"-LOCK", startWithout(capIPCLock, nobody)},
	{"-LOCK,g0", startWithout(capIPCLock, 0)}, // in the group vm.hugetlb_shm_group
	{"-ADMIN", startWithout(capSysAdmin, nobody)},
}

// grants is the table: each row a command of peer_test.go, about the KEY, the ID or
// the INDEX of the segment or about MINE, one of the caller's own, and how it ends
// for each of the callers. HUGE is more huge pages than there are: the kernel finds
// that out, ENOMEM, after it has granted them.
const grants = `
                         root     user     userns   -OWNER   -LOCK    -LOCK,g0 -ADMIN
get KEY 1 0              ok       ok       ok       ok       ok       ok       ok
get KEY 1 0400           ok       EACCES   EACCES   EACCES   ok       ok       ok
get KEY 1 0600           ok       EACCES   EACCES   EACCES   ok       ok       ok
at ID 0 0                ok       EACCES   EACCES   EACCES   ok       ok       ok
at ID 0 SHM_RDONLY       ok       EACCES   EACCES   EACCES   ok       ok       ok
stat ID                  ok       EACCES   EACCES   EACCES   ok       ok       ok
shmstat INDEX            ok       EACCES   EACCES   EACCES   ok       ok       ok
shmstatany INDEX         ok       ok       ok       ok       ok       ok       ok
lock ID                  ok       EPERM    EPERM    ok       EPERM    EPERM    ok
unlock ID                ok       EPERM    EPERM    ok       EPERM    EPERM    ok
unlock MINE              ok       ok       ok       ok       ok       ok       ok
get 0 HUGE SHM_HUGETLB   ENOMEM   EPERM    EPERM    ENOMEM   EPERM    ENOMEM   ENOMEM
set ID OWNER OWNER 0600  ok       EPERM    EPERM    ok       ok       ok       EPERM
rmid ID                  ok       EPERM    EPERM    ok       ok       ok       EPERM
`

// lockGrants are the last rows: what depends on RLIMIT_MEMLOCK.
var lockGrants = map[uint64]string{
	0:       "lock MINE                ok       EPERM    EPERM    ok       EPERM    EPERM    ok\n",
	8 << 20: "lock MINE                ok       ok       ok       ok       ok       ok       ok\n",
}

func TestGrants(t *testing.T) {
	needPrivateNS(t)
	needOtherUsers(t)
	needHugePages(t) // which needs the initial user namespace
	needCaps(t, capSetpcap, capIPCOwner, capSysAdmin)
	needNamespaces(t, syscall.CLONE_NEWUSER)
	power(t, 45) // of HUGE
	if group := sysctl(t, "vm/hugetlb_shm_group"); group != "0" {
		t.Skip("vm.hugetlb_shm_group is ", group)
	}
	for _, lang := range []string{"Go", "C"} {
		for memlock, lockGrant := range lockGrants {
			t.Run(fmt.Sprint(lang, "/RLIMIT_MEMLOCK ", memlock), func(t *testing.T) {
				setRlimit(t, rlimitMemlock, memlock)
				want := grants + lockGrant
				got := tableFor(t, lang, strings.Split(strings.TrimSpace(want), "\n")[1:])
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				t.Log(got)
			})
		}
	}
}

// tableFor is the table of the rows, as this kernel ends their commands.
func tableFor(t *testing.T, lang string, rows []string) string {
	t.Helper()
	commands, got := make([]string, len(rows)), make([]string, len(rows))
	for i, row := range rows {
		commands[i] = strings.TrimSpace(row[:25])
		got[i] = fmt.Sprintf("%-24s", commands[i])
	}
	head := strings.Repeat(" ", 24)
	for _, caller := range callers {
		head += fmt.Sprintf(" %-8s", caller.name)
		for i, end := range endsFor(t, caller.start(t, lang), commands) {
			got[i] += fmt.Sprintf(" %-8s", end)
		}
	}
	table := "\n"
	for _, line := range append([]string{head}, got...) {
		table += strings.TrimRight(line, " ") + "\n"
	}
	return table
}

// endsFor is how the commands end for a peer, one after the other.
func endsFor(t *testing.T, p *peer, commands []string) (ends []string) {
	t.Helper()
	theirs := startGo(t)
	theirs.setuid(owner, owner)
	id := theirs.get(testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	mine := p.get(shm.IPC_PRIVATE, 1, 0o600)
	words := strings.NewReplacer(
		"KEY", fmt.Sprint(int(testKey)), "ID", fmt.Sprint(int(id)), "INDEX", fmt.Sprint(indexOf(id)), "MINE", fmt.Sprint(int(mine)),
		"OWNER", fmt.Sprint(owner), "SHM_RDONLY", fmt.Sprint(int(shm.SHM_RDONLY)),
		"SHM_HUGETLB", fmt.Sprint(int(shm.SHM_HUGETLB|0o600)), "HUGE", fmt.Sprint(power(t, 45)),
	)
	for _, command := range commands {
		answer, err := p.Do("%s", words.Replace(command))
		if err == nil && strings.HasPrefix(command, "at ") {
			p.number("dt %s", answer[0])
		}
		ends = append(ends, nameOf(err))
		if command == "rmid ID" && err != nil {
			theirs.remove(id)
		}
	}
	p.remove(mine)
	return ends
}

// nameOf is a name of C for an errno, or "ok".
func nameOf(err error) string {
	var errno syscall.Errno
	if err == nil {
		return "ok"
	}
	if errors.As(err, &errno) {
		switch errno {
		case syscall.EACCES:
			return "EACCES"
		case syscall.EPERM:
			return "EPERM"
		case syscall.ENOMEM:
			return "ENOMEM"
		}
	}
	return err.Error()
}

func startAs(t *testing.T, lang string) *peer {
	t.Helper()
	if lang == "C" {
		return startC(t)
	}
	return startGo(t)
}

func startAsNobody(t *testing.T, lang string) *peer {
	t.Helper()
	p := startAs(t, lang)
	p.setuid(nobody, nobody)
	return p
}

// startAsUserNSRoot starts a peer that is nobody, and has all capabilities in a
// user namespace, but is in this IPC namespace, which belongs to another one.
func startAsUserNSRoot(t *testing.T, lang string) *peer {
	t.Helper()
	cmd := goPeerCmd(0)
	if lang == "C" {
		program, err := os.Open(cpeer.Program(t, "ctest"))
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		cmd = exec.Command("/proc/self/fd/3") // nobody cannot search its directory
		cmd.ExtraFiles = []*os.File{program}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{HostID: nobody, Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: nobody, Size: 1}},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{},
	}
	p := &peer{cpeer.Start(t, cmd), t, lang}
	if !hasCap(t, strconv.Itoa(p.PID()), capIPCOwner) {
		t.Errorf("%s peer: no capabilities in its user namespace", lang)
	}
	return p
}

// startWithout starts a peer that is root, in a group, and lacks a capability.
func startWithout(capability, gid int) func(t *testing.T, lang string) *peer {
	return func(t *testing.T, lang string) *peer {
		t.Helper()
		t.Setenv(asPeer, "1")
		t.Setenv("GORACE", "atexit_sleep_ms=0") // as in ipcns.Self
		p := startC(t)
		p.setuid(0, gid)
		p.number("dropcap %d", capability)
		if lang == "Go" { // whose threads would each have to drop it
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			p.Ask("exec %s", program)
			p.lang = lang
			p.number("ftok 1 /") // it is there
		}
		for _, c := range []int{capIPCLock, capIPCOwner, capSysAdmin} {
			if has := hasCap(t, strconv.Itoa(p.PID()), c); has == (c == capability) {
				t.Errorf("%s peer: capability %d is there: %v", lang, c, has)
			}
		}
		return p
	}
}
