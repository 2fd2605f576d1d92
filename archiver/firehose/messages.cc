#include "archiver/firehose/messages.h"

#include <string>
#include <type_traits>
#include <utility>

namespace standpipe::firehose {
namespace {

template <typename T, typename Variant>
struct IsIn;
template <typename T, typename... Types>
struct IsIn<T, std::variant<Types...>> : std::disjunction<std::is_same<T, Types>...> {};

// Well-framed, and of a type that is nobody's here: its seq is not ours to judge.
bool is_unknown(const MessageFrame& frame) {
  if (frame.kind() != FrameKind::unknown || frame.op() == FrameOp::error) return false;
  switch (frame.why()) {
    case Unarchivable::archivable:
    case Unarchivable::seq_missing:
    case Unarchivable::seq_repeated:
    case Unarchivable::seq_not_integer:
    case Unarchivable::seq_out_of_range:
      return true;
    default:
      return false;
  }
}

Unknown unknown_of(const MessageFrame& frame) { return {frame.type(), frame.seq(), frame.body()}; }

template <typename Message>
Result<Message> parse(const MessageFrame& frame) {
  if (is_unknown(frame)) return Message(unknown_of(frame));
  STANDPIPE_TRY(Event event, decode_event(frame.bytes()));
  return std::visit(
      [&frame](auto&& value) -> Result<Message> {
        using Value = std::remove_cvref_t<decltype(value)>;
        if constexpr (IsIn<Value, Message>::value) {
          return Message(std::move(value));
        } else if constexpr (std::is_same_v<Value, ErrorFrame>) {
          return Error{Errc::malformed, "an error frame: " + std::string(value.name)};
        } else {
          return Message(unknown_of(frame));
        }
      },
      std::move(event));
}

}  // namespace

Result<SubscribeReposMessage> parse_subscribe_repos_message(const MessageFrame& frame) {
  return parse<SubscribeReposMessage>(frame);
}

Result<SubscribeLabelsMessage> parse_subscribe_labels_message(const MessageFrame& frame) {
  return parse<SubscribeLabelsMessage>(frame);
}

}  // namespace standpipe::firehose
