package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// ReceiveModel reads a bare ONNX model, writes it and the manifest that such a
// model always has to the sink, and returns that. The model itself is not
// looked at here.
func ReceiveModel(r io.Reader, sink Sink, limits Limits) (*Received, error) {
	limits = limits.withDefaults()
	src := &source{r: r, left: limits.Bytes + 1}
	x := &receiver{src: src, sink: sink, limits: limits, buffer: make([]byte, bufferSize)}
	w, err := x.create(ModelFile)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	size, err := x.copy(src, w, sum)
	if err := x.closed(ModelFile, w, err); err != nil {
		return nil, err
	}
	if size > limits.Bytes {
		return nil, tooLarge("the model is larger than %d bytes: make it smaller, or raise registry.max_upload on the server",
			limits.Bytes)
	}
	if size == 0 {
		return nil, refuse("the upload is empty: send the ONNX file as the body")
	}
	raw := BareManifest(size, hex.EncodeToString(sum.Sum(nil)))
	m, err := ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	if err := x.writeManifest(raw); err != nil {
		return nil, err
	}
	return &Received{Manifest: m, Raw: raw, Digest: Digest(raw), Bytes: size + int64(len(raw))}, nil
}
