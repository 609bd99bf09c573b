package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
)

var errCause = errors.New("the disk is full")

func TestFaultsAreFoundInChains(t *testing.T) {
	e := fault.New(fault.Conflict, fault.NotLoaded, "%s/%d is not loaded.", "iris", 3).Because(errCause)
	wrapped := fmt.Errorf("outer: %w", e)
	if fault.As(wrapped) != e || !fault.Is(wrapped, fault.NotLoaded) || fault.Is(wrapped, fault.Deadline) || !errors.Is(wrapped, errCause) {
		t.Errorf("%+v", fault.As(wrapped))
	}
	if fault.As(errCause) != nil || fault.As(nil) != nil || fault.Is(nil, "") || fault.Is(errCause, "") {
		t.Error("what is no fault is taken for one")
	}
}

func TestErrorIsForTheLog(t *testing.T) {
	e := fault.New(fault.Invalid, fault.InvalidInput, "It does not fit.").At("inputs.a[2]", "type", "expected %s", "a number").Because(errCause)
	if want := "It does not fit.; inputs.a[2]: expected a number: the disk is full"; e.Error() != want {
		t.Errorf("%q, want %q", e, want)
	}
	if e.Detail != "It does not fit." {
		t.Errorf("the detail, which clients see, is %q", e.Detail)
	}
}

// TestZeroKindIsOurs: a forgotten kind must not blame the client.
func TestZeroKindIsOurs(t *testing.T) {
	if (&fault.Error{}).Kind != fault.Internal {
		t.Error("the zero kind is not Internal")
	}
}
