package registry

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const recycled = 60 // pushes of each of two writers in each of two processes

// recyclerChild pushes the same few bundles to models of its own, each time
// over blobs that a collection may be about to remove, and gives them up again.
// It says how many were not whole when they were registered.
func recyclerChild(root, process string) {
	s, err := Open(root, Options{})
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for w := range 2 {
		name := fmt.Sprint(process, w)
		wg.Go(func() {
			for c := range recycled {
				v, err := push(s, name, fmt.Sprint("seed", c%2))
				if err == nil {
					_, err = s.View(v)
				}
				if err == nil && c < recycled-1 {
					err = s.DeleteVersion(context.Background(), name, v.Number, "", by)
				}
				if err != nil {
					fmt.Println(name, c, err)
				}
			}
		})
	}
	wg.Wait()
	fmt.Println("done")
}

// collectorChild collects until its input ends. Its grace period is negative:
// no blob is too young, so nothing but the lock holds it off.
func collectorChild(root string) {
	var ended sync.WaitGroup
	ctx, end := context.WithCancel(context.Background())
	ended.Go(func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	})
	blobs := 0
	for ctx.Err() == nil {
		out, err := Collect(ctx, root, Collection{Grace: -time.Hour})
		if err != nil && ctx.Err() == nil {
			fmt.Println(err)
		}
		for _, r := range out.Removed {
			if r.Kind == RemovedBlob {
				blobs++
			}
		}
	}
	fmt.Println("collected", blobs)
}

func TestCollectBesidePushes(t *testing.T) {
	root := t.TempDir()
	open(t, root)
	collector := child(t, "collector", root)
	in, err1 := collector.StdinPipe()
	out, err2 := collector.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := collector.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, process := range []string{"p", "q"} {
		wg.Go(func() {
			said, err := child(t, "recycler", root, process).Output()
			if err != nil || string(said) != "done\n" {
				t.Errorf("%s: %v\n%s", process, err, said)
			}
		})
	}
	wg.Wait()
	_ = in.Close()
	lines := bufio.NewScanner(out)
	blobs := 0
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "collected %d", &blobs); err != nil {
			t.Errorf("the collector says %q", strings.TrimSpace(lines.Text()))
		}
	}
	if err := collector.Wait(); err != nil {
		t.Error(err)
	}
	if blobs < 5 {
		t.Errorf("only %d blobs were collected: the test has shown nothing", blobs)
	}
	t.Logf("%d blobs were collected", blobs)
	if v := whole(t, root); v.Versions != 4 {
		t.Errorf("%+v", v)
	}
}
