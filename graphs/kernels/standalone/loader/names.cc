#include "standalone/loader/names.h"

namespace mbert {

uint32_t Names::hash(uint32_t scope, const View& name) {
  // FNV-1a, with its bits mixed at the end.
  uint32_t result = 2166136261u ^ scope * 2654435761u;
  for (size_t i = 0; i < name.size; i++) result = (result ^ static_cast<uint8_t>(name.data[i])) * 16777619u;
  return result ^ result >> 15;
}

int32_t Names::find(uint32_t scope, const View& name) const {
  if (!places_.size()) return NONE;
  const size_t mask = places_.size() - 1;
  const uint32_t wanted = hash(scope, name);
  for (size_t place = wanted & mask; places_[place] >= 0; place = (place + 1) & mask) {
    const Entry& entry = entries_[static_cast<size_t>(places_[place])];
    if (entry.hash == wanted && entry.scope == scope && entry.name == name) return entry.value;
  }
  return NONE;
}

Status Names::add(uint32_t scope, const View& name, int32_t value) {
  TRY(entries_.add({name, scope, hash(scope, name), value}));
  if (2 * entries_.size() >= places_.size()) return rebuild();
  const size_t mask = places_.size() - 1;
  size_t place = entries_[entries_.size() - 1].hash & mask;
  while (places_[place] >= 0) place = (place + 1) & mask;
  places_[place] = static_cast<int32_t>(entries_.size() - 1);
  return nullptr;
}

Status Names::rebuild() {
  const size_t count = places_.size() ? 2 * places_.size() : 64;
  for (int32_t& place : places_) place = -1;
  while (places_.size() < count) TRY(places_.add(-1));
  for (size_t i = 0; i < entries_.size(); i++) {
    size_t place = entries_[i].hash & (count - 1);
    while (places_[place] >= 0) place = (place + 1) & (count - 1);
    places_[place] = static_cast<int32_t>(i);
  }
  return nullptr;
}

}  // namespace mbert
