// Reads the masks of a cavs stream with nothing of ours: libzmq, libzstd, nlohmann-json (for msgpack).
//
// apt-get install libzmq3-dev libzstd-dev nlohmann-json3-dev
// c++ -std=c++17 -O2 subscribe.cpp -o subscribe -lzmq -lzstd
// ./subscribe [tcp://127.0.0.1:5555] [number of windows]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <zmq.h>
#include <zstd.h>

using nlohmann::json;
using Bytes = std::vector<std::uint8_t>;

struct Message {
  json header;
  Bytes payload;
};

// Header and payload of any message of wire version 1.
Message read(const Bytes& data) {
  const std::uint8_t magic[4] = {'C', 'A', 'V', 1};
  const void* nul = data.empty() ? nullptr : std::memchr(data.data(), 0, data.size());
  if (!nul) throw std::runtime_error("no topic");
  const std::size_t at = static_cast<const std::uint8_t*>(nul) - data.data() + 1;
  if (data.size() < at + 8 || std::memcmp(&data[at], magic, 4) != 0) throw std::runtime_error("not wire version 1");
  const std::size_t length = data[at + 4] | data[at + 5] << 8 | data[at + 6] << 16 | std::size_t(data[at + 7]) << 24;
  if (data.size() - at - 8 < length) throw std::runtime_error("the message is cut off");
  const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at + 8), end = begin + static_cast<std::ptrdiff_t>(length);
  return {json::from_msgpack(begin, end), Bytes(end, data.end())};
}

// For each object height * width bytes, 0 or 1, row after row.
std::vector<Bytes> masks_of(const Message& message) {
  const json& header = message.header;
  const std::size_t pixels = header["size"][0].get<std::size_t>() * header["size"][1].get<std::size_t>();
  const std::size_t count = header["objects"].size(), stride = (pixels + 7) / 8;
  const auto encoding = header["encoding"].get<std::string>();
  std::vector<Bytes> masks(count, Bytes(pixels));
  if (count == 0) return masks;
  if (encoding == "raw") {
    if (message.payload.size() != pixels) throw std::runtime_error("payload of a wrong size");
    for (std::size_t i = 0; i < pixels; ++i)
      if (const std::size_t number = message.payload[i]; number >= 1 && number <= count) masks[number - 1][i] = 1;
  } else if (encoding == "bits+zstd") {
    Bytes bits(count * stride);
    const std::size_t got = ZSTD_decompress(bits.data(), bits.size(), message.payload.data(), message.payload.size());
    if (ZSTD_isError(got) || got != bits.size()) throw std::runtime_error("payload is not the zstd frame expected");
    for (std::size_t k = 0; k < count; ++k)
      for (std::size_t i = 0; i < pixels; ++i) masks[k][i] = bits[k * stride + i / 8] >> (7 - i % 8) & 1;
  } else {
    throw std::runtime_error("encoding " + encoding + ": start the stream with --encoding bits+zstd or raw");
  }
  return masks;
}

int main(int argc, char** argv) {
  void* context = zmq_ctx_new();
  void* socket = zmq_socket(context, ZMQ_SUB);
  const int one = 1;
  zmq_setsockopt(socket, ZMQ_CONFLATE, &one, sizeof one);  // the newest only; works because a message is one part
  zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "cavs/1/masks/", 13);
  if (zmq_connect(socket, argc > 1 ? argv[1] : "tcp://127.0.0.1:5555") != 0) {
    std::fprintf(stderr, "%s\n", zmq_strerror(zmq_errno()));
    return 1;
  }
  for (long windows = argc > 2 ? std::atol(argv[2]) : -1; windows != 0; --windows) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, 0) < 0) return 1;
    const auto* data = static_cast<const std::uint8_t*>(zmq_msg_data(&part));
    const Message message = read(Bytes(data, data + zmq_msg_size(&part)));
    zmq_msg_close(&part);
    const auto masks = masks_of(message);
    for (std::size_t k = 0; k < masks.size(); ++k) {
      const json& thing = message.header["objects"][k];
      std::size_t area = 0;
      for (const auto pixel : masks[k]) area += pixel;
      const auto box = thing["box"].get<std::vector<int>>();
      std::printf("%lld: object %lld %s %.2f at %d,%d %dx%d, %zu pixels\n", message.header["seq"].get<long long>(),
                  thing["id"].get<long long>(), thing["cls"].get<std::string>().c_str(), thing["score"].get<double>(),
                  box.at(0), box.at(1), box.at(2), box.at(3), area);
    }
    std::fflush(stdout);
  }
  zmq_close(socket);
  zmq_ctx_term(context);
}
